"""Watch the documents, keep the last good one, publish what differs.

The Compose files are polled: a stat of a few files twice a second costs nothing and works on every file system, where
inotify stays silent on network and shared folders. Labels come with the discovered workloads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import structlog
import trio

from composemesh.config.compile import NOTHING, compile_mesh, rejected
from composemesh.config.loaders.compose import ComposeDocument, Resolved, explain, load_compose
from composemesh.config.loaders.labels import ContainerLabels, load_labels, mesh_labels
from composemesh.config.loaders.said import Place
from composemesh.config.loaders.sources import read_sources
from composemesh.model.problem import Problem, Severity
from composemesh.model.snapshot import CaptureMode, MeshSettings, Snapshot
from composemesh.model.workload import Discovered, Workload
from composemesh.runtime.latest import Latest

log = structlog.get_logger()

POLL = 0.5
"""Seconds between two looks at the files."""
SETTLE = 0.1
"""Seconds that the files must stay the same before they are read: an editor may write in several steps."""
RETRY = 10.0
"""Seconds until Compose is asked again after it could not answer, even when no file has changed."""

Resolve = Callable[[], Awaitable[Resolved]]
"""Asks Compose for the resolved project. Raises `Unresolved` with Compose's own words."""
Stamp = tuple[int, int, int] | None
"""Modification time, size and inode of a file; None where there is none."""

AT_START: Mapping[str, Callable[[MeshSettings], str]] = {
    "capture": lambda mesh: (CaptureMode.NETNS if mesh.capture is CaptureMode.AUTO else mesh.capture).value,
    "admin": lambda mesh: f"{mesh.admin_host}:{mesh.admin_port}",
}
"""Words of the top level that a mesh reads as it starts, and what it makes of them."""


class Publisher:
    """The configuration of one project, from its documents to `snapshot` and `problems`."""

    def __init__(
        self,
        project: str,
        discovered: Latest[Discovered],
        resolve: Resolve | None = None,
        files: Sequence[Path] = (),
    ) -> None:
        """Without `resolve` (no Compose file or no Compose at hand), labels alone configure.

        `files` are those to watch besides the ones that `resolve` names: the Compose files while they cannot be
        resolved, and environment files.
        """
        self.snapshot: Latest[Snapshot] = Latest(Snapshot(project))
        self.problems: Latest[tuple[Problem, ...]] = Latest(())
        self._project = project
        self._discovered = discovered
        self._resolve = resolve
        self._files = tuple(files)
        self._named = self._files
        self._watched = self._files
        self._stamps: dict[Path, Stamp] = {}
        self._document = NOTHING
        self._rejected: tuple[Problem, ...] = ()
        self._started: dict[str, str] = {}
        self._waiting: tuple[Problem, ...] = ()
        self._unanswered = False
        self._loaded = False

    def __repr__(self) -> str:
        state = "rejected" if self._rejected else "good" if self._loaded else "unread"
        return f"<Publisher {self._project} {state}, {len(self.problems.value)} problems>"

    @property
    def rejection(self) -> tuple[Problem, ...]:
        """Why the newest document is not in force; empty where it is. Labels of containers never come into this."""
        return self._rejected

    async def load(self) -> tuple[Problem, ...]:
        """Read the documents once and publish; return all Problems (`rejection`: those that matter to a start).

        Never raises for what users or Compose do. Cancelled, nothing is published.
        """
        if self._resolve is not None:
            await self._reload(self._resolve)
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

    # === documents ===

    async def _follow_files(self, resolve: Resolve) -> None:
        asked = trio.current_time()
        while True:
            await trio.sleep(POLL)
            stamps = await _stamps(self._watched)
            overdue = self._unanswered and trio.current_time() - asked >= RETRY
            if stamps == self._stamps and not overdue:
                continue
            await self._settle(stamps)
            asked = trio.current_time()
            await self._reload(resolve)
            self._publish()

    async def _settle(self, stamps: dict[Path, Stamp]) -> None:
        while True:
            await trio.sleep(SETTLE)
            before, stamps = stamps, await _stamps(self._watched)
            if stamps == before:
                return

    async def _reload(self, resolve: Resolve) -> None:
        """Take the new document, or keep the present one and remember why."""
        # Stamps first: an edit made while Compose reads shows as a change at the next look. So does a file that only
        # this reading has led to: it is read once more, from a moment at which it was known.
        self._stamps = await _stamps(self._watched)
        try:
            resolved = await resolve()
        except Exception as error:
            self._unanswered = True
            text = str(error) or repr(error)
            sources = await trio.to_thread.run_sync(read_sources, self._named)
            self._watched = (*self._files, *sources.watched)
            self._reject((explain(text, sources),))
            return
        self._unanswered = False
        self._named = resolved.files or self._named
        sources = await trio.to_thread.run_sync(read_sources, self._named)
        self._watched = (*self._files, *sources.watched)
        document = await trio.to_thread.run_sync(load_compose, resolved, sources)
        self._accept(document)

    def _accept(self, document: ComposeDocument) -> None:
        reasons = rejected(document)
        if reasons:
            self._reject(reasons)
        else:
            self._document, self._rejected = document, ()

    def _reject(self, reasons: tuple[Problem, ...]) -> None:
        if reasons != self._rejected:
            for problem in (each for each in reasons if each.severity is Severity.ERROR):
                log.warning("configuration rejected", problem=str(problem), code=problem.code)
        self._rejected = reasons

    # === labels ===

    async def _follow_labels(self) -> None:
        seen: object = None
        async for discovered in self._discovered:
            # Containers come and go all the time; what they say hardly ever changes.
            labelled = _labelled(discovered.workloads)
            if labelled != seen:
                seen = labelled
                self._publish()

    def _containers(self) -> Iterable[ContainerLabels]:
        for workload in self._discovered.value.workloads:
            known = self._document.label_names.get(workload.compose_service, frozenset())
            labels = load_labels(workload, known)
            if labels is not None:
                yield labels

    def _publish(self) -> None:
        snapshot, problems = compile_mesh(self._project, self._document, self._containers())
        if self._rejected:
            # The document in force is an older one; its warnings would point at lines that may be gone.
            old = set(compile_mesh(self._project, self._document)[1])
            problems = (*self._rejected, *(problem for problem in problems if problem not in old))
        else:
            self._wait(tuple(self._next_start(snapshot.mesh)))
            problems += self._waiting
        self.problems.publish(problems)
        self.snapshot.publish(snapshot)

    # === what only a start reads ===

    def _wait(self, edits: tuple[Problem, ...]) -> None:
        for problem in edits:
            if problem.message not in {before.message for before in self._waiting}:
                log.warning("configuration waits for the next start", problem=str(problem), code=problem.code)
        self._waiting = edits

    def _next_start(self, mesh: MeshSettings) -> Iterator[Problem]:
        for word, started in self._started.items():
            now = AT_START[word](mesh)
            if now != started:
                said = self._document.mesh.get((word,))
                place = said.place if said else Place()
                yield Problem(
                    Severity.WARNING,
                    "next-start",
                    f"x-mesh: `{word}` is read when the mesh starts: it goes on with {started}, and not with {now}.",
                    "Restart the mesh: `composemesh down --keep-stack`, then `composemesh attach -d`.",
                    place.file,
                    place.line,
                    place.column,
                )


def _labelled(workloads: Iterable[Workload]) -> frozenset[object]:
    """All that `_containers` could make a difference of."""
    labelled = ((each, frozenset(mesh_labels(each.labels).items())) for each in workloads if not each.oneoff)
    return frozenset((each.compose_service, each.name, each.started, said) for each, said in labelled if said)


async def _stamps(files: Iterable[Path]) -> dict[Path, Stamp]:
    return await trio.to_thread.run_sync(lambda: {file: _stamp(file) for file in files})


def _stamp(file: Path) -> Stamp:
    try:
        status = file.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)
