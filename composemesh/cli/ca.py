"""`composemesh ca`: the certificate that makes this mesh's HTTPS trusted."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from composemesh.cli.context import about_project, folder_of
from composemesh.stack.errors import UserError
from composemesh.stack.state import state_root

if TYPE_CHECKING:
    from composemesh.stack.compose import ComposeProject
    from composemesh.stack.state import StateFolder

HINT = """\
Trust it once, and every name of this mesh is trusted, for ten years:
  one command     curl --cacert {file} https://NAME.localhost:PORT/
  Debian, Ubuntu  sudo cp {file} /usr/local/share/ca-certificates/{name}.crt && sudo update-ca-certificates
  Fedora, RHEL    sudo cp {file} /etc/pki/ca-trust/source/anchors/{name}.pem && sudo update-ca-trust
  macOS           sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {file}
  Firefox         Settings, Privacy & Security, View Certificates, Authorities, Import
Whoever can read {key} can pose as any server to those who trust it: it never leaves this host."""


@click.command()
@click.option("--out", metavar="FILE", default="", help="Write it there, and say how to trust it.")
@about_project
def ca(project: ComposeProject, out: str) -> None:
    """Print the root certificate of the project's mesh (PEM); made at the first call.

    Certificates of gateways with `tls: auto` lead to it.
    """
    from composemesh.identity.store import FILE, Unusable, load_or_create

    folder = folder_of(project)
    folder.prepare()
    try:
        authority = load_or_create(folder.path, folder.project, datetime.now(UTC))
    except Unusable as problem:
        raise UserError(str(problem)) from None
    if _is_roots(folder):
        click.echo(
            f"Root has a mesh of {folder.project} too: `sudo composemesh ca` prints what that serves.", err=True
        )
    if not out or out == "-":
        click.echo(authority.root.decode(), nl=False)
        if sys.stdout.isatty():
            click.echo("`composemesh ca --out FILE` writes it to a file, and says how to trust it.", err=True)
        return
    file = Path(os.path.abspath(out))
    try:
        file.write_bytes(authority.root)
    except OSError as problem:
        raise UserError(f"Cannot write {file} ({problem.strerror}): name another file after --out.") from None
    click.echo(HINT.format(file=file, name=f"composemesh-{folder.project}", key=folder.path / FILE), err=True)


def _is_roots(folder: StateFolder) -> bool:
    """Whether somebody who is not root asks, and root meshes the project as well, with another authority."""
    theirs = state_root({}, 0) / folder.project
    return os.geteuid() != 0 and folder.path != theirs and os.path.exists(theirs)
