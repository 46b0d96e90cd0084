"""`composemesh ls`: every mesh on this host, from the state folders."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from composemesh.cli.context import state_folders
from composemesh.cli.output import emit, format_option
from composemesh.stack.state import MeshEntry, age, list_meshes

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.command()
@format_option
def ls(form: str) -> None:
    """List the meshes on this host.

    A mesh that root started is shown to root only.
    """
    entries = list_meshes(state_folders())
    emit(form, [asdict(entry) | {"state": entry.state} for entry in entries], lambda: _table(entries))


def _table(entries: list[MeshEntry]) -> RenderableType:
    from composemesh.cli.pieces import duration, safe, table

    if not entries:
        return "No mesh runs on this host: `composemesh up` starts one."
    rows = table("PROJECT", "STATE", ">PID", ">UP", "ADMIN", "COMPOSE FILES")
    for entry in entries:
        state = entry.state if entry.alive else "dead (composemesh down cleans up)"
        up = duration(age(entry.pid)) if entry.alive else "-"
        files = ", ".join(map(str, entry.compose.get("files", ())))
        rows.add_row(entry.project, state, str(entry.pid), up, safe(entry.admin_url), safe(files))
    return rows
