"""`composemesh graph`: who calls whom, how often, how fast and how well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from composemesh.cli.context import about_project, serving
from composemesh.cli.output import emit, format_option
from composemesh.stack.errors import CallError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from composemesh.stack.compose import ComposeProject


@click.command()
@click.option("--window", default="", metavar="DURATION", help="How far back, e.g. 5m, or all. Default: 60s.")
@format_option
@about_project
def graph(project: ComposeProject, window: str, form: str) -> None:
    """Show who calls whom, and with what success."""
    from composemesh.admin.graph_views import window_seconds
    from composemesh.stack.client import MeshClient

    if window:
        try:
            window_seconds(window)
        except ValueError as problem:
            raise CallError(f"--window={window}: {problem}") from None
    folder, _ = serving(project)
    said = MeshClient(folder.socket).graph(window)

    def table() -> RenderableType:
        from composemesh.cli.live import graph_view

        return graph_view(said)

    emit(form, said, table)
