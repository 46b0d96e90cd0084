"""`composemesh delete`: what was applied, taken out again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from composemesh.cli.context import about_mesh, serving
from composemesh.cli.documents import files_option, kind_of, read_files, tell_change
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
        said = [(one.partition("/")[0], one.partition("/")[2]) for one in (kind, *names)]
    else:
        said = [(kind or "", name) for name in names]
    if not all(name for _, name in said):
        raise CallError("A name is missing: say `composemesh delete KIND NAME`, or `composemesh delete KIND/NAME`.")
    folder, _ = serving(project)
    client = MeshClient(folder.socket)
    keys = [(kind_of(word, client.kinds), name) for word, name in said]
    # The mesh reads them: it knows the kinds of its plugins.
    change = client.change(delete=keys, delete_files=read_files(files) if files else ())
    tell_change(change)
    if not change["deleted"]:
        raise UserError(f"{', '.join(files)}: no resource in it that could be deleted.")
