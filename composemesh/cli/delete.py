"""`composemesh delete`: what was applied, taken out again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from composemesh.cli.context import about_mesh, serving
from composemesh.cli.documents import files_option, kind_of, read_files, tell_change, tell_problems
from composemesh.stack.errors import CallError, UserError

if TYPE_CHECKING:
    from composemesh.stack.compose import ComposeProject


@click.command()
@click.argument("kind", required=False)
@click.argument("names", nargs=-1, metavar="[NAME...]")
@files_option(required=False)
@about_mesh
def delete(project: ComposeProject, kind: str | None, names: tuple[str, ...], files: tuple[str, ...]) -> None:
    """Take applied resources out, by kind and name or as the documents of -f name them."""
    from composemesh.stack.client import MeshClient

    if bool(kind) == bool(files) or (kind and not names and "/" not in kind):
        raise CallError("Say `composemesh delete KIND NAME`, or `composemesh delete -f FILE`.")
    if kind and "/" in kind:
        names = (kind, *names)
        keys = [(kind_of(said.partition("/")[0]), said.partition("/")[2]) for said in names]
    elif kind:
        keys = [(kind_of(kind), name) for name in names]
    else:
        keys = _named_in(files)
    if not all(name for _, name in keys):
        raise CallError("A name is missing: say `composemesh delete KIND NAME`, or `composemesh delete KIND/NAME`.")
    if not keys:
        raise UserError(f"{', '.join(files)}: no resource in it that could be deleted.")
    folder, _ = serving(project)
    tell_change(MeshClient(folder.socket).change(delete=keys))


def _named_in(files: tuple[str, ...]) -> list[tuple[str, str]]:
    from dataclasses import asdict

    from composemesh.config.resources import load_documents

    keys: list[tuple[str, str]] = []
    for name, text in read_files(files):
        resources, problems = load_documents(text, name)
        tell_problems({**asdict(one), "severity": one.severity.value} for one in problems)
        keys += [(resource.kind, resource.name) for resource in resources]
    return keys
