"""`composemesh undo`: the last change of a running mesh, taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from composemesh.cli.context import about_mesh, serving
from composemesh.cli.documents import tell_change
from composemesh.cli.output import emit, format_option

if TYPE_CHECKING:
    from rich.console import RenderableType

    from composemesh.stack.compose import ComposeProject


@click.command()
@click.option("--list", "listed", is_flag=True, help="Only list the changes that can be taken back.")
@format_option
@about_mesh
def undo(project: ComposeProject, listed: bool, form: str) -> None:
    """Take the last apply or delete back, whoever made it; again for the one before it."""
    from composemesh.stack.client import MeshClient

    folder, _ = serving(project)
    client = MeshClient(folder.socket)
    if listed:
        said = client.history()
        emit(form, said, lambda: _steps(said["steps"]))
        return
    change = client.undo()
    if form == "table" or not change["accepted"]:
        tell_change(change)
    else:
        emit(form, change, lambda: "")


def _steps(steps: list[dict[str, Any]]) -> RenderableType:
    from composemesh.cli.pieces import safe, table

    if not steps:
        return safe("There is no change to take back.")
    shown = table("WHEN", "WHAT")
    for step in steps:
        shown.add_row(safe(step["time"]), safe(", ".join(done(step))))
    return shown


def done(step: dict[str, Any]) -> list[str]:
    """What a change did, resource by resource, in kubectl's words."""
    return [
        f"{key['kind'].lower()}/{key['name']} {word}"
        for word in ("created", "configured", "deleted")
        for key in step[word]
    ]
