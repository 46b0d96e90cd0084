"""Watch the documents, keep the last good ones, take what is applied live, publish what differs.

Three voices make the configuration: files (watched), labels (they come with the discovered workloads), and resources
applied to the running mesh, which stand in the place of a file's resource of the same kind and name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import structlog
import trio

from composemesh.config.applied import Applied
from composemesh.config.asking import Early, Resolve, asked
from composemesh.config.compile import compile_mesh
from composemesh.config.difference import Change, difference, effects
from composemesh.config.extended import Plugins, read_extended
from composemesh.config.history import History, Step, step
from composemesh.config.kinds import KINDS, Kinds
from composemesh.config.loaders.compose import explain
from composemesh.config.loaders.labels import ContainerLabels, load_labels, mesh_labels
from composemesh.config.loaders.sources import read_sources
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
Compiled = tuple[Snapshot, tuple[Problem, ...]]


class Conflict(Exception):
    """Somebody else has changed a resource since its version was read; the message says which, as a sentence."""


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
        return _overlaid(self._written.resources, self._applied.resources)

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
        if self._resolve is not None:
            await self._reload(self._resolve)
        # Only now: what is applied may be of kinds that the files' plugins bring along.
        self._unread = await trio.to_thread.run_sync(self._applied.load)
        await trio.to_thread.run_sync(self._history.load)
        self._loaded = True
        self._publish()
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
        where one is another, and OSError where the change can't be kept; then it has been taken back.
        """
        async with self._changing:  # each builds on the one before
            self._meet(expect)
            applied = dict(self._applied.resources)
            for key in delete:
                applied.pop(key, None)
            asked = {resource.key: resource for resource in apply}
            applied |= asked
            if carry_out:
                change, compiled = self._try(self._written, applied, asked)
                if change.accepted:
                    steps = self._history.followed_by(step(change, self._applied.resources, applied))
                    await self._carry_out(applied, steps, *compiled)
                return change
        # A large text takes a second to compile. To carry it out, everybody waits; to try it, nobody has to.
        return await trio.to_thread.run_sync(self._try_apart, applied, asked, limiter=APART)

    async def undo(self, wanted: str = "") -> Change:
        """Take the last change back; where `wanted` names a step, only if it is the last one.

        Whole or, where an error would come of it, not at all. Raises CannotUndo, and OSError as `change` does.
        """
        async with self._changing:
            last = self._history.newest(wanted)
            applied = last.taken_back(self._applied.resources, self.kinds)
            change, compiled = self._try(
                self._written, applied, {key: applied[key] for key, _ in last.left if key in applied}
            )
            if change.accepted:
                await self._carry_out(applied, self._history.steps[:-1], *compiled)
            return change

    def _meet(self, expect: Mapping[ResourceKey, str]) -> None:
        """Raises Conflict."""
        for key, version in expect.items():
            found = self.resources.get(key)
            if (found.version if found is not None else "") != version:
                happened = "was deleted" if found is None else "has changed" if version else "is there already"
                raise Conflict(f"{key} {happened}: somebody else was faster.")

    def _try_apart(self, applied: Mapping[ResourceKey, Resource], asked: Mapping[ResourceKey, Resource]) -> Change:
        """The same for another thread. It shares no resource with the loop: compiling writes into their `memory`."""
        written = replace(self._written, resources=tuple(replace(one, memory={}) for one in self._written.resources))
        return self._try(written, {key: replace(one, memory={}) for key, one in applied.items()}, asked)[0]

    def _try(
        self, written: Written, applied: Mapping[ResourceKey, Resource], asked: Mapping[ResourceKey, Resource]
    ) -> tuple[Change, Compiled]:
        """What would come of it if these were the applied resources."""
        compiled = self._compile(written, applied)
        concerned = {str(key) for key in asked}
        change = replace(
            difference(self.resources, _overlaid(written.resources, applied), asked),
            effects=effects(self.snapshot.value, compiled[0]),
            # What is wrong already, and with something else, is no reason to refuse.
            problems=tuple(
                problem
                for problem in compiled[1]
                if problem.resource in concerned or problem not in self.problems.value
            ),
        )
        return change, compiled

    async def _carry_out(
        self,
        applied: dict[ResourceKey, Resource],
        steps: list[Step],
        snapshot: Snapshot,
        problems: tuple[Problem, ...],
    ) -> None:
        """Raises OSError where it can't be kept; then all is as it was."""
        kept, self._applied.resources = self._applied.resources, applied
        self._tell(snapshot, problems)  # traffic need not wait for the disk
        try:
            with trio.CancelScope(shield=True):
                await self._applied.keep()
                await self._history.keep(steps)
        except OSError:
            self._applied.resources = kept
            self._publish()
            raise

    # === documents ===

    async def _follow_files(self, resolve: Resolve) -> None:
        while True:
            await self._watch.changed(RETRY if self._unanswered else float("inf"))
            await self._reload(resolve)
            self._publish()

    async def _reload(self, resolve: Resolve) -> None:
        """Take the new documents, or keep the present ones and remember why."""
        early, self._early = self._early, None
        if early is None:
            await self._watch.reading()
        resolved = await (asked(resolve) if early is None else early.answer())
        if isinstance(resolved, Exception):
            self._unanswered = True
            text = str(resolved) or repr(resolved)
            sources = await trio.to_thread.run_sync(read_sources, self._named)
            self._watch.follow((*self._files, *sources.watched, *self._written.watched))
            self._reject((explain(text, sources),))
            return
        self._unanswered = False
        self._named = resolved.files or self._named
        sources = await trio.to_thread.run_sync(read_sources, self._named)
        written = await read_extended(resolved, sources, self._plugins, self.kinds)
        self._watch.follow((*self._files, *sources.watched, *written.watched))
        self._accept(written)

    def _accept(self, written: Written) -> None:
        _, problems = self._compile(written, {}, labels=False)
        if _errors(problems):
            self._reject(problems)
        else:
            self._written, self._rejected = written, ()

    def _reject(self, reasons: tuple[Problem, ...]) -> None:
        if reasons != self._rejected:
            for problem in _errors(reasons):
                log.warning("configuration rejected", problem=str(problem), code=problem.code)
        self._rejected = reasons

    # === labels ===

    async def _follow_labels(self) -> None:
        seen: object = None
        async for discovered in self._discovered:
            # Containers come and go all the time; what they say hardly ever changes.
            spoken = _spoken(discovered.workloads)
            if spoken != seen:
                seen = spoken
                self._publish()

    def _containers(self) -> Iterable[ContainerLabels]:
        catalogs = self._plugins.catalogs if self._plugins is not None else None
        folder = self._named[0].parent if self._named else None
        for workload in self._discovered.value.workloads:
            known = self._written.document.label_names.get(workload.compose_service, frozenset())
            labels = load_labels(workload, known, catalogs, folder)
            if labels is not None:
                yield labels

    # === everything together ===

    def _compile(self, written: Written, applied: Mapping[ResourceKey, Resource], *, labels: bool = True) -> Compiled:
        resources = _overlaid(written.resources, applied).values()
        workloads = self._discovered.value.workloads
        containers = self._containers() if labels else ()
        snapshot, problems = compile_mesh(self._project, written.document, containers, resources, workloads)
        return snapshot, (*problems, *written.problems)

    def _publish(self) -> None:
        self._tell(*self._compile(self._written, self._applied.resources))

    def _tell(self, snapshot: Snapshot, problems: tuple[Problem, ...]) -> None:
        if self._rejected:
            # The documents in force are older ones; their warnings would point at lines that may be gone.
            old = set(self._compile(self._written, {}, labels=False)[1])
            problems = (*self._rejected, *(problem for problem in problems if problem not in old))
        else:
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


def _overlaid(written: Iterable[Resource], applied: Mapping[ResourceKey, Resource]) -> dict[ResourceKey, Resource]:
    return {**{resource.key: resource for resource in written}, **applied}


def _spoken(workloads: Iterable[Workload]) -> object:
    """All about running containers that the configuration depends on: labels, and which services have which ports."""
    services = frozenset((each.compose_service, infer_service(each), each.ports) for each in workloads)
    labelled = ((each, frozenset(mesh_labels(each.labels).items())) for each in workloads if not each.oneoff)
    return services, frozenset(
        (each.compose_service, each.name, each.started, said) for each, said in labelled if said
    )
