"""`composemesh diff`: what applying documents would change, in the documents and in what traffic notices."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from composemesh.cli.context import about_mesh, serving
from composemesh.cli.documents import files_option, read_files, tell_problems
from composemesh.cli.output import emit, format_option, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from composemesh.stack.compose import ComposeProject


@click.command()
@files_option()
@format_option
@about_mesh
def diff(project: ComposeProject, files: tuple[str, ...], form: str) -> None:
    """Show what applying documents would change; nothing is changed. Exits 1 where they would be refused."""
    from composemesh.cli.guard import exit_with
    from composemesh.stack.client import MeshClient

    folder, _ = serving(project)
    # The mesh reads them: it knows the kinds of its plugins.
    change = MeshClient(folder.socket).diff(read_files(files))
    tell_problems(change["problems"])
    if not change["accepted"]:
        exit_with(1)
    emit(form, change, lambda: _shown(change))


def _shown(change: dict[str, Any]) -> RenderableType:
    from rich.text import Text

    text = Text()
    for line in (line for one in change["resources"] for line in one["diff"].splitlines()):
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        text.append(printable(line) + "\n", style if sys.stdout.isatty() else "")
    for effect in change["effects"]:
        text.append(f"changes {effect}\n")
    text.rstrip()
    return text or Text("Nothing would change.")
