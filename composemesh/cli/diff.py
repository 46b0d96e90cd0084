"""`composemesh diff`: what applying documents would change, in the documents and in what traffic notices."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from composemesh.cli.context import about_mesh, serving
from composemesh.cli.documents import files_option, read_files, tell_problems
from composemesh.cli.output import emit, format_option

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
    from composemesh.config.resources import load_documents
    from composemesh.stack.client import MeshClient

    folder, _ = serving(project)
    client = MeshClient(folder.socket)
    texts = read_files(files)
    change = client.change(texts, dry_run=True)
    tell_problems(change["problems"])
    if not change["accepted"]:
        exit_with(1)
    before = {(one["kind"], one["name"]): one["document"] for one in client.resources()}
    after = {
        (resource.kind, resource.name): resource.document
        for name, text in texts
        for resource in load_documents(text, name)[0]
    }
    emit(form, change, lambda: _shown(change, before, after))


def _shown(change: dict[str, Any], before: dict[Any, Any], after: dict[Any, Any]) -> RenderableType:
    from rich.text import Text

    text = Text()
    for key in (*change["created"], *change["configured"]):
        named = (key["kind"], key["name"])
        for line in _lines("/".join(named), before.get(named), after.get(named, before.get(named))):
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
            text.append(line + "\n", style if sys.stdout.isatty() else "")
    for effect in change["effects"]:
        text.append(f"changes {effect}\n")
    text.rstrip()
    return text or Text("Nothing would change.")


def _lines(name: str, old: Any, new: Any) -> Iterator[str]:
    import yaml

    def text(document: Any) -> list[str]:
        return [] if document is None else yaml.safe_dump(document, sort_keys=False, allow_unicode=True).splitlines()

    lines = difflib.unified_diff(text(old), text(new), f"{name} now", f"{name} then", lineterm="")
    return ("".join(letter if letter.isprintable() else "�" for letter in line) for line in lines)
