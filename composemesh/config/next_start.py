"""Words of `x-mesh` that only a start reads: an edit of them waits, and says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from composemesh.config.loaders.said import Place, Settings
from composemesh.model.problem import Problem, Severity
from composemesh.model.snapshot import CaptureMode, MeshSettings

AT_START: Mapping[str, Callable[[MeshSettings], str]] = {
    "capture": lambda mesh: (CaptureMode.NETNS if mesh.capture is CaptureMode.AUTO else mesh.capture).value,
    "admin": lambda mesh: f"{mesh.admin_host}:{mesh.admin_port}",
    "xds": lambda mesh: f"{mesh.xds_host}:{mesh.xds_port}" if mesh.xds_port else "off",
}
"""The words, and what a mesh makes of them as it starts."""


def waiting(started: Mapping[str, str], mesh: MeshSettings, said: Settings) -> Iterator[Problem]:
    """A Problem for each word that says something else now than what the mesh `started` with."""
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
