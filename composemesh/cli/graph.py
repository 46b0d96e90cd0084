"""`composemesh graph`: who calls whom, how often, how fast and how well."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from composemesh.cli.context import about_project, serving
from composemesh.cli.output import emit, format_option
from composemesh.stack.errors import CallError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from composemesh.stack.compose import ComposeProject


@click.command()
@click.option("--window", default="", metavar="DURATION", help="How far back, e.g. 60s, or all. Default: 60s.")
@format_option
@about_project
def graph(project: ComposeProject, window: str, form: str) -> None:
    """Show who calls whom, and with what success."""
    from composemesh.stack.client import MeshClient

    if window and not re.fullmatch(r"\d+(\.\d+)?(ms|s|m|h)?|all", window):
        raise CallError(f"--window={window} is no duration: say e.g. 60s or 5m, or all.")
    folder, _ = serving(project)
    said = MeshClient(folder.socket).graph(window)

    def table() -> RenderableType:
        from composemesh.cli.live import graph_view

        return graph_view(said)

    emit(form, said, table)
