"""`composemesh status`: what the running mesh says of itself, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from composemesh.cli.context import about_project, serving
from composemesh.cli.output import emit, format_option

if TYPE_CHECKING:
    from rich.console import RenderableType

    from composemesh.stack.compose import ComposeProject


@click.command()
@format_option
@about_project
def status(project: ComposeProject, form: str) -> None:
    """Show services, versions, instances, their health and their traffic, and what is wrong."""
    from composemesh.stack.client import MeshClient

    folder, _ = serving(project)
    said = MeshClient(folder.socket).status()

    def table() -> RenderableType:
        from composemesh.cli.live import status_view

        return status_view(said)

    emit(form, said, table)
