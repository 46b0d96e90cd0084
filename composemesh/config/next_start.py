"""Words of `x-mesh` that only a start reads: an edit of them waits, and says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import structlog

from composemesh.config.loaders.said import Place, Settings
from composemesh.model.problem import Problem, Severity
from composemesh.model.snapshot import CaptureMode, MeshSettings

log = structlog.get_logger()

AT_START: Mapping[str, Callable[[MeshSettings], str]] = {
    "capture": lambda mesh: (CaptureMode.NETNS if mesh.capture is CaptureMode.AUTO else mesh.capture).value,
    "admin": lambda mesh: f"{mesh.admin_host}:{mesh.admin_port}",
    "xds": lambda mesh: f"{mesh.xds_host}:{mesh.xds_port}" if mesh.xds_port else "off",
}
"""The words, and what a mesh makes of them as it starts."""


class NextStart:
    """What this mesh has started with, and the edits that wait for its next start."""

    def __init__(self) -> None:
        self._started: dict[str, str] = {}
        self._waiting: tuple[Problem, ...] = ()

    def __repr__(self) -> str:
        return f"<NextStart {len(self._waiting)} of {', '.join(self._started) or 'nothing'} wait>"

    def hold(self, words: Iterable[str], mesh: MeshSettings) -> None:
        """What these words of `AT_START` say now is what the mesh starts with."""
        self._started = {word: AT_START[word](mesh) for word in words}

    def waiting(self, mesh: MeshSettings, said: Settings) -> tuple[Problem, ...]:
        """A Problem for each word that says something else by now. One that was not there before is logged."""
        edits = tuple(_edits(self._started, mesh, said))
        for problem in edits:
            if problem.message not in {before.message for before in self._waiting}:
                log.warning("configuration waits for the next start", problem=str(problem), code=problem.code)
        self._waiting = edits
        return edits


def _edits(started: Mapping[str, str], mesh: MeshSettings, said: Settings) -> Iterator[Problem]:
    for word, before in started.items():
        now = AT_START[word](mesh)
        if now != before:
            entry = said.get((word,))
            place = entry.place if entry else Place()
            yield Problem(
                Severity.WARNING,
                "next-start",
                f"x-mesh: `{word}` is read when the mesh starts: it goes on with {before}, and not with {now}.",
                "Restart the mesh: `composemesh down --keep-stack`, then `composemesh attach -d`.",
                place.file,
                place.line,
                place.column,
            )
