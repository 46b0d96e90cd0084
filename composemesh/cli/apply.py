"""`composemesh apply`: Istio documents, put in force on a running mesh, all of them or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from composemesh.cli.context import about_mesh, serving
from composemesh.cli.documents import files_option, read_files, tell_change

if TYPE_CHECKING:
    from composemesh.stack.compose import ComposeProject


@click.command()
@files_option()
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@about_mesh
def apply(project: ComposeProject, files: tuple[str, ...], dry_run: bool) -> None:
    """Put Istio documents in force. They stay until `composemesh delete`, also when the mesh restarts."""
    from composemesh.stack.client import MeshClient

    folder, _ = serving(project)
    tell_change(MeshClient(folder.socket).change(read_files(files), dry_run=dry_run), dry_run=dry_run)
