"""Watch the documents, keep the last good ones, take what is applied live, publish what differs.

Three voices make the configuration: files (watched), labels (they come with the discovered workloads), and resources
applied to the running mesh, which stand in the place of a file's resource of the same kind and name.

Reading and compiling happen in threads, one compilation after the other; the loop only swaps what is in force.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog
import trio

from composemesh.config.applied import Applied
from composemesh.config.asking import Early, Resolve, asked
from composemesh.config.difference import Change
from composemesh.config.extended import Plugins, read_extended
from composemesh.config.history import History, Step, step
from composemesh.config.kinds import KINDS, Kinds
from composemesh.config.loaders.compose import explain
from composemesh.config.loaders.labels import mesh_labels
from composemesh.config.loaders.sources import read_sources
from composemesh.config.moment import Moment, overlaid
from composemesh.config.next_start import AT_START, waiting
from composemesh.config.resources import Resource, ResourceKey
from composemesh.config.watch import Watch
from composemesh.config.written import NOTHING, Written
from composemesh.model.problem import Problem, Severity
from composemesh.model.snapshot import Snapshot, infer_service
from composemesh.model.workload import Discovered, Workload
from composemesh.runtime.latest import Latest

log = structlog.get_logger()

RETRY = 10.0
"""Seconds until Compose is asked again after it could not answer, even when no file has changed."""

APART = trio.CapacityLimiter(1)
"""Trials at a time: who asks for many waits for himself."""
NO_VERSIONS: Mapping[ResourceKey, str] = {}
T = TypeVar("T")


class Conflict(Exception):
    """Somebody else has changed a resource since its version was read; the message says which, as a sentence."""


@dataclass(frozen=True, slots=True)
class _Next:
    """What is in force once a change is carried out."""

    applied: dict[ResourceKey, Resource]
    step: Step | None
    """What takes it back; None where it takes something back itself, or does nothing."""
    snapshot: Snapshot
    problems: tuple[Problem, ...]


class Publisher:
    """The configuration of one project, from its documents to `snapshot` and `problems`."""

    def __init__(
        self,
        project: str,
        discovered: Latest[Discovered],
        resolve: Resolve | None = None,
        files: Sequence[Path] = (),
        applied: Path | None = None,
        plugins: Plugins | None = None,
    ) -> None:
        """Without `resolve` (no Compose file or no Compose at hand), labels and what is applied configure alone.

        `files` are those to watch besides the ones that `resolve` names: the Compose files while they cannot be
        resolved, and environment files. `applied` is where applied resources are kept; None: they aren't.
        """
        self.snapshot: Latest[Snapshot] = Latest(Snapshot(project))
        self.problems: Latest[tuple[Problem, ...]] = Latest(())
        self.heard: Latest[Discovered] = Latest(discovered.value)
        """What runs, once `snapshot` knows what its labels say: for whoever must not touch what they exclude."""
        self._project = project
        self._discovered = discovered
        self._resolve = resolve
        self._files = tuple(files)
        self._named = self._files
        self._watch = Watch()
        self._watch.follow(self._files)
        self._written = NOTHING
        self._plugins = plugins
        self.kinds = KINDS if plugins is None else Kinds(plugins.catalogs.kinds)
        """What documents may be of."""
        self._applied = Applied(applied, self.kinds)
        self._history = History(applied.with_name("undo.json") if applied is not None else None)
        self._unread: tuple[Problem, ...] = ()
        """What is wrong with the file of applied resources."""
        self._rejected: tuple[Problem, ...] = ()
        self._started: dict[str, str] = {}
        self._waiting: tuple[Problem, ...] = ()
        self._unanswered = False
        self._early: Early | None = None
        """What Compose was asked already, for `load` to take."""
        self._loaded = False
        self._changing = trio.Lock()
        """Held from reading what is in force until its successor is: each change builds on the one before."""
        self._thread = trio.CapacityLimiter(1)
        """Our own: what others have to wait for in threads holds up no change."""
        self.revision = 0
        """Goes up with every configuration that is published: whoever shows it looks again."""

    def __repr__(self) -> str:
        state = "rejected" if self._rejected else "good" if self._loaded else "unread"
        return f"<Publisher {self._project} {state}, {len(self.problems.value)} problems>"

    @property
    def rejection(self) -> tuple[Problem, ...]:
        """Why the newest document is not in force; empty where it is. Labels of containers never come into this."""
        return self._rejected

    @property
    def resources(self) -> Mapping[ResourceKey, Resource]:
        """The Istio documents in force by key, those of files and those applied."""
        return overlaid(self._written.resources, self._applied.resources)

    @property
    def written(self) -> Written:
        """What files say, of which some may stand behind what is applied."""
        return self._written

    @property
    def steps(self) -> Sequence[Step]:
        """The last changes that can be taken back, oldest first."""
        return self._history.steps

    def is_applied(self, key: ResourceKey) -> bool:
        """Whether a resource was applied, and so can be deleted; others stand in files."""
        return key in self._applied.resources

    async def ask_early(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Ask Compose before `load` does, which takes the answer: meanwhile others may look at what runs.

        Never raises. To be called before `load`, by `start`.
        """
        early = self._early = None if self._resolve is None else Early()
        task_status.started()
        if early is not None and self._resolve is not None:
            await self._watch.reading()
            early.take_in(await asked(self._resolve))

    async def load(self) -> tuple[Problem, ...]:
        """Read the documents once and publish; return all Problems (`rejection`: those that matter to a start).

        Never raises for what users or Compose do. Cancelled, nothing is published.
        """
        read = None if self._resolve is None else await self._read(self._resolve)
        async with self._changing:
            await self._accept(read)
            # Only now: what is applied may be of kinds that the files' plugins bring along.
            self._unread = await trio.to_thread.run_sync(self._applied.load)
            await trio.to_thread.run_sync(self._history.load)
            self._loaded = True
            await self._publish()
        return self.problems.value

    def hold(self, *words: str) -> None:
        """What these words of `AT_START` say now is what the mesh starts with: their edits are told as Problems."""
        self._started = {word: AT_START[word](self.snapshot.value.mesh) for word in words}

    async def run(self) -> None:
        """Follow the documents and the labels, for ever."""
        if not self._loaded:
            await self.load()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow_labels)
            if self._resolve is not None:
                nursery.start_soon(self._follow_files, self._resolve)

    async def change(
        self,
        apply: Iterable[Resource] = (),
        delete: Iterable[ResourceKey] = (),
        *,
        expect: Mapping[ResourceKey, str] = NO_VERSIONS,
        carry_out: bool = True,
    ) -> Change:
        """Apply and delete resources, all of them or, where an error would come of it, none.

        In force and kept on disk when this returns with an `accepted` change; only tried where not `carry_out`.
        `expect` are the versions on which the change builds, empty for what must not be there yet. Raises Conflict
        where one is another, and OSError where the change can't be kept; then it has been taken back. Cancelled, it
        has been carried out or it hasn't: the next one is not held up.
        """
        asked = {resource.key: resource for resource in apply}
        without = frozenset(delete)

        def attempt(moment: Moment) -> tuple[Change, _Next]:
            _meet(expect, moment.resources)
            kept = {key: resource for key, resource in moment.applied.items() if key not in without}
            applied = kept | asked
            change, compiled = moment.changed(applied, asked)
            return change, _Next(applied, step(change, moment.applied, applied), *moment.told(compiled))

        if not carry_out:
            # A large text takes a second to compile, and whoever tries one needs no token: no change waits for that.
            moment = self._moment()
            change, _ = await trio.to_thread.run_sync(lambda: attempt(moment.copy()), limiter=APART)
            return change
        async with self._changing:
            change, following = await self._apart(attempt, self._moment())
            if change.accepted:
                await self._carry_out(following, self._history.followed_by(following.step))
            return change

    async def undo(self, wanted: str = "") -> Change:
        """Take the last change back; where `wanted` names a step, only if it is the last one.

        Whole or, where an error would come of it, not at all. Raises CannotUndo, and OSError as `change` does.
        """
        async with self._changing:
            last = self._history.newest(wanted)

            def attempt(moment: Moment) -> tuple[Change, _Next]:
                applied = last.taken_back(moment.applied, self.kinds)
                change, compiled = moment.changed(
                    applied, {key: applied[key] for key, _ in last.left if key in applied}
                )
                return change, _Next(applied, None, *moment.told(compiled))

            change, following = await self._apart(attempt, self._moment())
            if change.accepted:
                await self._carry_out(following, self._history.steps[:-1])
            return change

    async def _carry_out(self, following: _Next, steps: list[Step]) -> None:
        """Raises OSError where it can't be kept; then all is as it was."""
        before = self._applied.resources, self.snapshot.value, self.problems.value
        self._applied.resources = following.applied
        self._tell(following.snapshot, following.problems)  # traffic need not wait for the disk
        try:
            with trio.CancelScope(shield=True):
                await self._applied.keep()
                await self._history.keep(steps)
        except OSError:
            self._applied.resources, snapshot, problems = before
            self.revision += 1
            self.problems.publish(problems)
            self.snapshot.publish(snapshot)
            raise

    # === documents ===

    async def _follow_files(self, resolve: Resolve) -> None:
        while True:
            await self._watch.changed(RETRY if self._unanswered else float("inf"))
            read = await self._read(resolve)  # Compose may take its time: no change waits for it
            async with self._changing:
                await self._accept(read)
                await self._publish()

    async def _read(self, resolve: Resolve) -> Written | Problem:
        """The new documents, or why there are none."""
        early, self._early = self._early, None
        if early is None:
            await self._watch.reading()
        resolved = await (asked(resolve) if early is None else early.answer())
        if isinstance(resolved, Exception):
            self._unanswered = True
            text = str(resolved) or repr(resolved)
            sources = await trio.to_thread.run_sync(read_sources, self._named)
            self._watch.follow((*self._files, *sources.watched, *self._written.watched))
            return explain(text, sources)
        self._unanswered = False
        self._named = resolved.files or self._named
        sources = await trio.to_thread.run_sync(read_sources, self._named)
        written = await read_extended(resolved, sources, self._plugins, self.kinds)
        self._watch.follow((*self._files, *sources.watched, *written.watched))
        return written

    async def _accept(self, read: Written | Problem | None) -> None:
        """Take the new documents, or keep the present ones and remember why."""
        if isinstance(read, Written):
            problems = await self._apart(Moment.of_files, self._moment(read))
            if not _errors(problems):
                self._written, self._rejected = read, ()
                return
            self._reject(problems)
        elif read is not None:
            self._reject((read,))

    def _reject(self, reasons: tuple[Problem, ...]) -> None:
        if reasons != self._rejected:
            for problem in _errors(reasons):
                log.warning("configuration rejected", problem=str(problem), code=problem.code)
        self._rejected = reasons

    # === labels ===

    async def _follow_labels(self) -> None:
        seen: tuple[object, object] = (None, None)
        async for discovered in self._discovered:
            # Containers come and go all the time; what they say hardly ever changes.
            spoken = _labelled(discovered.workloads), _callable(discovered.workloads)
            if spoken[0] == seen[0]:
                self.heard.publish(discovered)
            if spoken != seen:
                seen = spoken
                async with self._changing:
                    await self._publish()

    # === everything together ===

    def _moment(self, written: Written | None = None, discovered: Discovered | None = None) -> Moment:
        """All as it is now, or with other documents."""
        return Moment(
            self._project,
            self._written if written is None else written,
            self._applied.resources,
            (self._discovered.value if discovered is None else discovered).workloads,
            self._plugins.catalogs if self._plugins is not None else None,
            self._named[0].parent if self._named else None,
            self._rejected,
            self.snapshot.value,
            self.problems.value,
        )

    async def _apart(self, work: Callable[[Moment], T], moment: Moment) -> T:
        """Do this in our thread, while the loop goes on. To be called with `_changing` held.

        Cancelled, it is waited for all the same: nobody else may compile these resources before it is done.
        """
        return await trio.to_thread.run_sync(work, moment, limiter=self._thread)

    async def _publish(self) -> None:
        discovered = self._discovered.value
        moment = self._moment(discovered=discovered)
        self._tell(*await self._apart(lambda moment: moment.told(moment.compiled()), moment))
        self.heard.publish(discovered)

    def _tell(self, snapshot: Snapshot, problems: tuple[Problem, ...]) -> None:
        if not self._rejected:
            self._wait(tuple(waiting(self._started, snapshot.mesh, self._written.document.mesh)))
            problems += self._waiting
        self.revision += 1
        self.problems.publish((*problems, *self._unread))
        self.snapshot.publish(snapshot)

    def _wait(self, edits: tuple[Problem, ...]) -> None:
        for problem in edits:
            if problem.message not in {before.message for before in self._waiting}:
                log.warning("configuration waits for the next start", problem=str(problem), code=problem.code)
        self._waiting = edits


def _errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(problem for problem in problems if problem.severity is Severity.ERROR)


def _meet(expect: Mapping[ResourceKey, str], resources: Mapping[ResourceKey, Resource]) -> None:
    """Raises Conflict."""
    for key, version in expect.items():
        found = resources.get(key)
        if (found.version if found is not None else "") != version:
            happened = "was deleted" if found is None else "has changed" if version else "is there already"
            raise Conflict(f"{key} {happened}: somebody else was faster.")


def _labelled(workloads: Iterable[Workload]) -> object:
    """What containers say of themselves: whether they may be entered at all is among it."""
    labelled = ((each, frozenset(mesh_labels(each.labels).items())) for each in workloads if not each.oneoff)
    return frozenset((each.compose_service, each.name, each.started, said) for each, said in labelled if said)


def _callable(workloads: Iterable[Workload]) -> object:
    """All else about running containers that the configuration depends on: which services have which ports."""
    return frozenset((each.compose_service, infer_service(each), each.ports) for each in workloads)
