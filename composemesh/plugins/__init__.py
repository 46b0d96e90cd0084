"""Who brings what along: built-ins, installed distributions, and files that `x-mesh` names, all in one way.

loading   one plugin, in a thread with a deadline: what it registers, or why it can't be loaded
files     a plugin that is one file: who may write it, and running it

What they import is `plugin`, beside this room; `builtin` is the plugin that comes with composemesh.

A plugin that can't be loaded is left out and is a Problem; nothing of it is registered, and everything else goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple

import structlog
import trio

from composemesh import builtin
from composemesh.catalog import Catalogs, Taken
from composemesh.config.loaders.said import Place
from composemesh.model.problem import Problem, Severity
from composemesh.plugins.files import module_of
from composemesh.plugins.loading import OURS, Recorder, Registration, Unloadable, within_patience
from composemesh.runtime.failures import Failures, figures
from composemesh.runtime.files import Stamp, stamp
from composemesh.runtime.latest import Latest

__all__ = ["OURS", "Plugin", "Plugins", "described"]

log = structlog.get_logger()

GROUP = "composemesh.plugins"
"""The entry points under which distributions name their plugin's module."""


@dataclass(slots=True)
class Plugin:
    """One plugin, loaded or not."""

    name: str
    """A distribution with its version, or a file."""
    api: int | None = None
    """The version of `composemesh.plugin` that it was written for, as far as it has said so."""
    names: tuple[tuple[str, str], ...] = ()
    """Role and name of all that it has registered."""
    problem: Problem | None = None
    """Why it is not here, or not all of it."""
    changed: Problem | None = None
    """That its file is no longer what was loaded."""
    seen: Stamp = ()
    """What its file was before it was read."""
    hangs: bool = False
    """Whether its thread is still at it: it is not tried again, or each edit would cost one more."""


class Job(NamedTuple):
    """A plugin that is to be loaded."""

    name: str
    find: Callable[[], Any]
    """Imports its module."""
    place: Place = Place()
    """Where the configuration names it."""
    seen: Stamp = ()


class Plugins:
    """All plugins of one mesh, the built-ins first, and the catalogs that they fill."""

    def __init__(self) -> None:
        """With the built-ins."""
        self.catalogs = Catalogs()
        self.known: dict[str, Plugin] = {}
        """By where each comes from."""
        self.problems: Latest[tuple[Problem, ...]] = Latest(())
        recorder = Recorder()
        builtin.register(recorder)
        self._take(Plugin(OURS, builtin.API), recorder.said, Place())

    def __repr__(self) -> str:
        return f"<Plugins {list(self.known)}>"

    async def load_installed(self) -> None:
        """Load the plugins of distributions that are installed beside composemesh. Never raises for what they do."""
        found = await trio.to_thread.run_sync(lambda: entry_points(group=GROUP))
        jobs: dict[str, Job] = {}
        for entry in sorted(found, key=lambda each: each.name):
            name = _of_distribution(entry)
            name = name if name not in jobs else f"{name} ({entry.name})"
            jobs[name] = Job(name, entry.load)
        await self._load([job for job in jobs.values() if job.name not in self.known])

    async def load_files(self, files: Sequence[tuple[Path, Place]]) -> bool:
        """Load those that are not here yet; the Place says who names it. Whether there is news. Never raises for what
        plugins do.

        A file that could not be loaded is tried again. One that was loaded stays as it is until the next start, which
        is a Problem where it has changed: Python can't forget a module.
        """
        jobs = []
        for path, place in files:
            known, seen = self.known.get(str(path)), stamp(path)
            if known is None or (known.problem is not None and not known.names and not known.hangs):
                jobs.append(Job(str(path), partial(module_of, path, place.file), place, seen))
            elif known.names:
                known.changed = _changed(path) if seen != known.seen else None
        await self._load(jobs)
        return bool(jobs)

    async def _load(self, jobs: Sequence[Job]) -> None:
        """All at a time, since each may be slow; then one after the other, so that the first of two has a name."""
        outcomes: dict[str, Unloadable | tuple[int, list[Registration]]] = {}

        async def attempt(job: Job) -> None:
            outcomes[job.name] = await within_patience(job.find)

        async with trio.open_nursery() as nursery:
            for job in jobs:
                nursery.start_soon(attempt, job)
        for job in jobs:
            outcome, plugin = outcomes[job.name], Plugin(job.name, seen=job.seen)
            if isinstance(outcome, Unloadable):
                plugin.hangs = outcome.code == "plugin-hangs"
                self._complain(plugin, outcome, job.place)
                self.known[job.name] = plugin
            else:
                plugin.api, said = outcome
                self._take(plugin, said, job.place)
        told = (problem for each in self.known.values() for problem in (each.problem, each.changed))
        self.problems.publish(tuple(problem for problem in told if problem is not None))
        self.catalogs.incomplete = any(not each.names for each in self.known.values())

    def _take(self, plugin: Plugin, said: Sequence[Registration], place: Place) -> None:
        """Enter what a plugin has registered; what another has already is left out, and is a Problem."""
        self.known[plugin.name] = plugin
        for where, name, what in said:
            catalog = getattr(self.catalogs, where)
            try:
                catalog.add(name, what, plugin.name)
            except Taken as taken:
                hint = "Take one of the two out, or give it another name."
                self._complain(plugin, Unloadable("plugin-duplicate", f"{taken}; this one is left out", hint), place)
            else:
                plugin.names += ((catalog.role, name),)

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


def _changed(path: Path) -> Problem:
    message = f"plugin {path} has changed: the mesh goes on with what it loaded."
    hint = "Restart the mesh: `composemesh down --keep-stack`, then `composemesh attach -d`."
    return Problem(Severity.WARNING, "next-start", message, hint, str(path), resource=f"plugin {path}")


def _of_distribution(entry: EntryPoint) -> str:
    distribution: Distribution | None = entry.dist
    return f"{distribution.name} {distribution.version}" if distribution is not None else entry.value


def described(plugins: Plugins, failures: Iterable[Failures] = ()) -> list[dict[str, Any]]:
    """Every name with who brought it along, then the plugins that are left out (the shape `plugins`).

    `failures` are those of all that runs now.
    """
    found, counted = [], figures(failures)
    for plugin in plugins.known.values():
        for role, name in plugin.names:
            count, last = counted.get((role, name), (0, ""))
            state = "failing" if count or last else "loaded"
            found.append(_row(plugin, role, name, state, count, last))
        if plugin.problem is not None:
            found.append(_row(plugin, "plugin", "", "left out", 0, f"{plugin.problem.message} {plugin.problem.hint}"))
    return found


def _row(plugin: Plugin, role: str, name: str, state: str, errors: int, last: str) -> dict[str, Any]:
    return {
        "name": name,
        "role": role,
        "from": plugin.name,
        "api": plugin.api,
        "state": state,
        "errors": errors,
        "last_error": last,
    }
