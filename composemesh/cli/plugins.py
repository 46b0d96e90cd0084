"""`composemesh plugins`: what can be named in the configuration, who brought it along, and what fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from composemesh.cli.context import about_project, serving
from composemesh.cli.output import emit, format_option
from composemesh.stack.errors import UserError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from composemesh.stack.compose import ComposeProject


@click.command()
@format_option
@about_project
def plugins(project: ComposeProject, form: str) -> None:
    """List filters, sources, sinks, balancers and kinds: who brought each along, and how often it has failed.

    Asks the mesh of the project; where none runs, tells what comes with composemesh and what is installed beside it.
    """
    from composemesh.stack.client import MeshClient

    try:
        folder, _ = serving(project)
    except UserError:
        found = _installed()
    else:
        found = MeshClient(folder.socket).plugins()
    emit(form, {"plugins": found}, lambda: _table(found))


def _installed() -> list[dict[str, Any]]:
    from composemesh.cli.logs import run
    from composemesh.cli.plugins_here import plugins_here
    from composemesh.plugins import described

    return described(run(plugins_here))


def _table(shown: list[dict[str, Any]]) -> RenderableType:
    from composemesh.cli.pieces import safe, table

    grid = table("NAME", "ROLE", "FROM", ">API", "STATE", ">ERRORS", "LAST ERROR")
    for one in shown:
        api = "-" if one["api"] is None else str(one["api"])
        cells = (one["name"] or "-", one["role"], one["from"], api, one["state"], str(one["errors"]))
        grid.add_row(*map(safe, cells), safe(one["last_error"] or "-"))
    return grid
