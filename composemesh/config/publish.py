"""Watch the documents, keep the last good ones, take what is applied live, publish what differs.

Three voices make the configuration: files (watched), labels (they come with the discovered workloads), and resources
applied to the running mesh, which stand in the place of a file's resource of the same kind and name.

Reading and compiling happen in threads, one compilation after the other; the loop only swaps what is in force.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import structlog
import trio

from composemesh.config.applied import Applied
from composemesh.config.asking import Resolve
from composemesh.config.difference import Change
from composemesh.config.extended import Plugins
from composemesh.config.history import History, Step
from composemesh.config.kinds import KINDS, Kinds
from composemesh.config.moment import Moment, overlaid
from composemesh.config.next_start import NextStart
from composemesh.config.project_files import ProjectFiles
from composemesh.config.resources import Resource, ResourceKey
from composemesh.config.spoken import Spoken, spoken
from composemesh.config.trying import Tried, try_change, try_undo
from composemesh.config.written import NOTHING, Written
from composemesh.model.problem import Problem, Severity
from composemesh.model.snapshot import Snapshot
from composemesh.model.workload import Discovered
from composemesh.runtime.latest import Latest

log = structlog.get_logger()

APART = trio.CapacityLimiter(1)
"""Trials at a time: who asks for many waits for himself."""
NO_VERSIONS: Mapping[ResourceKey, str] = {}
T = TypeVar("T")


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
        self._written = NOTHING
        self._plugins = plugins
        self.kinds = KINDS if plugins is None else Kinds(plugins.catalogs.kinds)
        """What documents may be of."""
        self._files = ProjectFiles(resolve, files, plugins, self.kinds)
        self._applied = Applied(applied, self.kinds)
        self._history = History(applied.with_name("undo.json") if applied is not None else None)
        self._unread: tuple[Problem, ...] = ()
        """What is wrong with the file of applied resources."""
        self._rejected: tuple[Problem, ...] = ()
        self._next_start = NextStart()
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
        await self._files.ask_early(task_status=task_status)

    async def load(self) -> tuple[Problem, ...]:
        """Read the documents once and publish; return all Problems (`rejection`: those that matter to a start).

        Never raises for what users or Compose do. Cancelled, nothing is published.
        """
        read = await self._files.read()
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
        self._next_start.hold(words, self.snapshot.value.mesh)

    async def run(self) -> None:
        """Follow the documents and the labels, for ever."""
        if not self._loaded:
            await self.load()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow_labels)
            if self._files.readable:
                nursery.start_soon(self._follow_files)

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

        def attempt(moment: Moment) -> Tried:
            return try_change(moment, asked, without, expect)

        if not carry_out:
            # A large text takes a second to compile, and whoever tries one needs no token: no change waits for that.
            moment = self._moment()
            return (await trio.to_thread.run_sync(lambda: attempt(moment.copy()), limiter=APART)).change
        async with self._changing:
            tried = await self._apart(attempt, self._moment())
            if tried.change.accepted:
                await self._carry_out(tried, self._history.followed_by(tried.step))
            return tried.change

    async def undo(self, wanted: str = "") -> Change:
        """Take the last change back; where `wanted` names a step, only if it is the last one.

        Whole or, where an error would come of it, not at all. Raises CannotUndo, and OSError as `change` does.
        """
        async with self._changing:
            last = self._history.newest(wanted)
            tried = await self._apart(lambda moment: try_undo(moment, last, self.kinds), self._moment())
            if tried.change.accepted:
                await self._carry_out(tried, self._history.steps[:-1])
            return tried.change

    async def _carry_out(self, tried: Tried, steps: list[Step]) -> None:
        """Raises OSError where it can't be kept; then all is as it was."""
        before = self._applied.resources, self.snapshot.value, self.problems.value
        self._applied.resources = tried.applied
        self._tell(tried.snapshot, tried.problems)  # traffic need not wait for the disk
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

    async def _follow_files(self) -> None:
        while True:
            await self._files.changed()
            read = await self._files.read()  # Compose may take its time: no change waits for it
            async with self._changing:
                await self._accept(read)
                await self._publish()

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
        seen: Spoken | None = None
        async for discovered in self._discovered:
            now = spoken(discovered.workloads)
            if seen is not None and now.labels == seen.labels:
                self.heard.publish(discovered)
            if now != seen:
                seen = now
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
            self._files.folder,
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
            problems += self._next_start.waiting(snapshot.mesh, self._written.document.mesh)
        self.revision += 1
        self.problems.publish((*problems, *self._unread))
        self.snapshot.publish(snapshot)


def _errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(problem for problem in problems if problem.severity is Severity.ERROR)
