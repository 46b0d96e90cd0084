"""Who brings what along: built-ins, installed distributions, and files that `x-mesh` names, all through one door.

A plugin is other people's code, so loading one may go wrong in any way. It happens in a thread with a deadline; what
comes of it is written down there and taken over here, in the order of the configuration. A plugin that can't be
loaded is left out and is a Problem; nothing of it is registered, and everything else goes on.
"""

from __future__ import annotations

import os
import stat
import sys
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, NamedTuple
from zlib import crc32

import structlog
import trio

from composemesh import __version__, builtin
from composemesh.catalog import Catalogs, Taken
from composemesh.config.loaders.said import Place
from composemesh.model.problem import Problem, Severity
from composemesh.plugin import API
from composemesh.runtime.latest import Latest

log = structlog.get_logger()

GROUP = "composemesh.plugins"
"""The entry points under which distributions name their plugin's module."""
PATIENCE = 5.0
"""Seconds that a plugin has to be imported and to register. Then its thread is left behind: Python can't stop one."""
MAX_BYTES = 1 << 20
"""Of a plugin's file."""
OURS = f"composemesh {__version__}"

Failures = Callable[[str], tuple[int, str]]
Registration = tuple[str, str, Any]
"""Catalog, name, and what the name stands for."""


class Unloadable(Exception):
    """Why a plugin can't be loaded, and what to do about it."""

    def __init__(self, code: str, why: str, hint: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why
        self.hint = hint


@dataclass(slots=True)
class Plugin:
    """One plugin, loaded or not."""

    name: str
    """A distribution with its version, or a file."""
    api: int | None = None
    """The version of `composemesh.plugin` that it was written for, as far as it has said so."""
    names: tuple[tuple[str, str], ...] = ()
    """Noun and name of all that it has registered."""
    problem: Problem | None = None
    """Why it is not here, or not all of it."""
    hangs: bool = False
    """Whether its thread is still at it: it is not tried again, or each edit would cost one more."""


@dataclass(slots=True)
class Recorder:
    """The Registrar that plugins see: only writes down, since it is called in another thread."""

    said: list[Registration] = field(default_factory=list)

    def filter(self, name: str, what: type | str) -> None:
        self.said.append(("filters", name, what))

    def source(self, name: str, what: type | str) -> None:
        self.said.append(("sources", name, what))

    def sink(self, name: str, what: type | str) -> None:
        self.said.append(("sinks", name, what))

    def balancer(self, name: str, what: type | str) -> None:
        self.said.append(("balancers", name, what))

    def kind(self, group: str, name: str, what: Any) -> None:
        self.said.append(("kinds", f"{group}/{name}", what))


class Job(NamedTuple):
    """A plugin that is to be loaded."""

    name: str
    find: Callable[[], Any]
    """Imports its module."""
    place: Place = Place()
    """Where the configuration names it."""


class Extensions:
    """All plugins of one mesh, the built-ins first, and the catalogs that they fill."""

    def __init__(self) -> None:
        """With the built-ins."""
        self.catalogs = Catalogs()
        self.plugins: dict[str, Plugin] = {}
        """By where each comes from."""
        self.problems: Latest[tuple[Problem, ...]] = Latest(())
        recorder = Recorder()
        builtin.register(recorder)
        self._take(Plugin(OURS, builtin.API), recorder.said, Place())

    def __repr__(self) -> str:
        return f"<Extensions {list(self.plugins)}>"

    async def load_installed(self) -> None:
        """Load the plugins of distributions that are installed beside composemesh. Never raises for what they do."""
        found = await trio.to_thread.run_sync(lambda: entry_points(group=GROUP))
        jobs: dict[str, Job] = {}
        for entry in sorted(found, key=lambda each: each.name):
            name = _of_distribution(entry)
            name = name if name not in jobs else f"{name} ({entry.name})"
            jobs[name] = Job(name, entry.load)
        await self._load([job for job in jobs.values() if job.name not in self.plugins])

    async def load_files(self, files: Sequence[tuple[Path, Place]]) -> bool:
        """Load those that are not here yet; the Place says who names it. Whether there is news. Never raises for what
        plugins do.

        A file that could not be loaded is tried again. One that was loaded stays as it is until the next start:
        Python can't forget a module.
        """
        jobs = []
        for path, place in files:
            known = self.plugins.get(str(path))
            if known is None or (known.problem is not None and not known.names and not known.hangs):
                jobs.append(Job(str(path), partial(module_of, path, place.file), place))
        await self._load(jobs)
        return bool(jobs)

    async def _load(self, jobs: Sequence[Job]) -> None:
        """All at a time, since each may be slow; then one after the other, so that the first of two has a name."""
        outcomes: dict[str, Unloadable | tuple[int, list[Registration]]] = {}

        async def attempt(job: Job) -> None:
            outcomes[job.name] = await _within_patience(job.find)

        async with trio.open_nursery() as nursery:
            for job in jobs:
                nursery.start_soon(attempt, job)
        for job in jobs:
            outcome, plugin = outcomes[job.name], Plugin(job.name)
            if isinstance(outcome, Unloadable):
                plugin.hangs = outcome.code == "plugin-hangs"
                self._complain(plugin, outcome, job.place)
                self.plugins[job.name] = plugin
            else:
                plugin.api, said = outcome
                self._take(plugin, said, job.place)
        self.problems.publish(tuple(each.problem for each in self.plugins.values() if each.problem is not None))
        self.catalogs.incomplete = any(not each.names for each in self.plugins.values())

    def _take(self, plugin: Plugin, said: Sequence[Registration], place: Place) -> None:
        """Enter what a plugin has registered; what another has already is left out, and is a Problem."""
        self.plugins[plugin.name] = plugin
        for where, name, what in said:
            catalog = getattr(self.catalogs, where)
            try:
                catalog.add(name, what, plugin.name)
            except Taken as taken:
                hint = "Take one of the two out, or give it another name."
                self._complain(plugin, Unloadable("plugin-duplicate", f"{taken}; this one is left out", hint), place)
            else:
                plugin.names += ((catalog.noun, name),)

    def _complain(self, plugin: Plugin, outcome: Unloadable, place: Place) -> None:
        subject = f"plugin {plugin.name}"
        plugin.problem = Problem(
            Severity.WARNING,
            outcome.code,
            f"{subject}: {outcome.why}.",
            outcome.hint,
            place.file,
            place.line,
            place.column,
            subject,
        )
        if plugin.problem not in self.problems.value:
            log.warning("plugin left out", problem=str(plugin.problem), code=outcome.code)


def _of_distribution(entry: EntryPoint) -> str:
    distribution: Distribution | None = entry.dist
    return f"{distribution.name} {distribution.version}" if distribution is not None else entry.value


async def _within_patience(find: Callable[[], Any]) -> Unloadable | tuple[int, list[Registration]]:
    with trio.move_on_after(PATIENCE):
        return await trio.to_thread.run_sync(_loaded, find, abandon_on_cancel=True)
    hint = "Let it import and register at once, and leave work to what it registers; then restart the mesh."
    return Unloadable("plugin-hangs", f"was not loaded within {PATIENCE:g} s, and is left out", hint)


def _loaded(find: Callable[[], Any]) -> Unloadable | tuple[int, list[Registration]]:
    """Import a plugin and have it register. In a thread; never raises, not even for `sys.exit()`."""
    try:
        module = find()
        api = getattr(module, "API", None)
        if not isinstance(api, int) or isinstance(api, bool):
            hint = f"Write `API = {API}` into it, beside `register`."
            return Unloadable("plugin-api", "does not say which API it was written for", hint)
        if api != API:
            newer, older = "a newer version of it", "a newer composemesh, or an older version of it"
            why = f"was written for API {api} of plugins, and {OURS} has API {API}"
            return Unloadable("plugin-api", why, f"Install {newer if api < API else older}.")
        register = getattr(module, "register", None)
        if not callable(register):
            hint = "Write `def register(mesh): …` into it."
            return Unloadable("plugin-not-loaded", "has no function `register`", hint)
        recorder = Recorder()
        register(recorder)
    except Unloadable as problem:
        return problem
    except BaseException as problem:
        return Unloadable(
            "plugin-not-loaded",
            f"can't be loaded: {_said(problem)}",
            "Mend it, or take it out of the configuration.",
        )
    return api, recorder.said


def _said(problem: BaseException) -> str:
    """An exception on one line, with the place in the plugin's own code, which is the last that it names."""
    text = " ".join(f"{type(problem).__name__}: {problem}".split())[:300]
    if isinstance(problem, SyntaxError):
        return text
    frames = traceback.extract_tb(problem.__traceback__)
    own = [frame for frame in frames if frame.filename != __file__ and not frame.filename.startswith("<frozen")]
    return f"{text} ({own[-1].filename}:{own[-1].lineno})" if own else text


# === files ===


def module_of(path: Path, named_in: str = "") -> ModuleType:
    """The module that a file is. Blocks. Raises Unloadable, and whatever its code raises.

    What is checked is what is run: the file is opened once. Whose Compose file is obeyed is trusted with the host
    anyway, as any container that mounts its root shows; so the plugin may be that user's, too.
    """
    trusted = {0, os.geteuid()}
    with suppress(OSError):
        trusted.add(os.stat(named_in).st_uid)
    try:
        with open(path, "rb", opener=_at_once) as file:
            source = _checked(path, file, trusted)
    except OSError as problem:
        hint = "Write its path relative to the first Compose file."
        raise Unloadable("plugin-unreadable", f"can't be read: {problem.strerror}", hint) from None
    module = ModuleType(f"composemesh_plugin_{path.stem}_{crc32(str(path).encode()):x}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and annotations look there for names
    try:
        exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        sys.modules.pop(module.__name__, None)
        raise
    return module


def _at_once(path: str, flags: int) -> int:
    """Opens files, and also pipes without waiting for their other end."""
    return os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK)


def _checked(path: Path, file: BinaryIO, trusted: Collection[int]) -> bytes:
    """What stands in an open file. Raises Unloadable and OSError."""
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise Unloadable("plugin-unreadable", "is no file", "Name a file of Python.")
    check_writers(path, status, trusted)
    for folder in path.resolve().parents:
        check_writers(folder, folder.stat(), trusted)
    if status.st_size > MAX_BYTES:
        hint = "Make a distribution of it, which has several."
        raise Unloadable("plugin-unreadable", f"is larger than {MAX_BYTES >> 20} MiB", hint)
    return file.read(MAX_BYTES)


def check_writers(path: Path, status: os.stat_result, trusted: Collection[int]) -> None:
    """Raises Unloadable where anybody else may write a file, or put another in its place: it would be their code.

    In a folder with the sticky bit, as /tmp has it, nobody can replace another's file.
    """
    folder = stat.S_ISDIR(status.st_mode)
    what = f"its folder {path}" if folder else "it"
    if status.st_uid not in trusted:
        why = f"is not loaded, because {what} belongs to another user (uid {status.st_uid})"
        raise Unloadable("plugin-writable", why, "Let it belong to root, or to whoever runs the mesh.")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not (folder and status.st_mode & stat.S_ISVTX):
        why = f"is not loaded, because others may write {what} (mode {stat.S_IMODE(status.st_mode):o})"
        raise Unloadable("plugin-writable", why, f"Run chmod go-w {path}.")


def described(extensions: Extensions, failures: Mapping[str, Failures]) -> list[dict[str, Any]]:
    """Every name with who brought it along, then the plugins that are left out (the shape `plugins`).

    `failures` counts by noun: how often what a name stands for has failed, and why the last time.
    """
    found = []
    for plugin in extensions.plugins.values():
        for noun, name in plugin.names:
            count, last = failures[noun](name) if noun in failures else (0, "")
            state = "failing" if count or last else "loaded"
            found.append(_row(plugin, noun, name, state, count, last))
        if plugin.problem is not None:
            found.append(_row(plugin, "plugin", "", "left out", 0, f"{plugin.problem.message} {plugin.problem.hint}"))
    return found


def _row(plugin: Plugin, noun: str, name: str, state: str, errors: int, last: str) -> dict[str, Any]:
    return {
        "name": name,
        "kind": noun,
        "from": plugin.name,
        "api": plugin.api,
        "state": state,
        "errors": errors,
        "last_error": last,
    }
