"""`composemesh export`: the mesh in the words of others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from composemesh.cli.context import about_project, folder_of
from composemesh.stack.errors import CallError, UserError

if TYPE_CHECKING:
    from composemesh.stack.compose import ComposeProject


@click.group()
def export() -> None:
    """Write the mesh down for others."""


@export.command()
@click.argument("caller")
@click.option("--transport", type=click.Choice(["ads", "delta", "rest"]), default="ads", show_default=True)
@click.option("--xds", "server", metavar="HOST:PORT", help="Where the Envoy finds the mesh; else where it listens.")
@click.option("--listen", metavar="NETWORK", help="Of the Envoy's own addresses; or `original_dst`.")
@click.option("--admin", metavar="HOST:PORT", help="The Envoy's own admin port; none without it.")
@click.option("--static", is_flag=True, help="The whole mesh as it is now: the Envoy asks nobody.")
@click.option("--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
@about_project
def envoy(project: ComposeProject, caller: str, form: str, *, static: bool, **asked: str | None) -> None:
    """Print a bootstrap for an Envoy that stands before CALLER, a workload or a service.

    composemesh export envoy productpage > envoy.yaml; envoy -c envoy.yaml
    """
    from composemesh.xds.export import Wanted

    query = {name: value for name, value in asked.items() if value}
    try:
        Wanted.read({"caller": caller, **query})
    except ValueError as problem:
        raise CallError(f"{problem}.") from None
    said = _exported(project, {"caller": caller, **query, **({"static": "true"} if static else {})})
    notes = [
        f"An Envoy before {caller}: envoy -c FILE --disable-hot-restart",
        *_finding(caller, said["addresses"]),
        *(f"{problem['resource']}: {problem['message']} {problem['hint']}" for problem in said["problems"]),
    ]
    if form == "json":
        print(json.dumps(said["bootstrap"], indent=2))
        click.echo("\n".join(notes), err=True)
        return
    import yaml

    print("".join(f"# {note}\n" for note in notes), end="")
    print(yaml.safe_dump(said["bootstrap"], sort_keys=False, allow_unicode=True), end="")


def _exported(project: ComposeProject, asked: dict[str, str]) -> dict[str, Any]:
    """What the mesh says; where none runs, what can be said without one."""
    from composemesh.stack.client import MeshClient
    from composemesh.xds.export import Wanted, alone

    folder = folder_of(project)
    entry = folder.entry()
    if entry is not None and entry.alive and entry.admin_url:
        mesh = MeshClient(folder.socket)
        known = mesh.status().get("xds_url", "")
        return mesh.export_envoy(**({"server": known} if known else {}) | asked)
    try:
        return {"bootstrap": alone(Wanted.read(asked)), "addresses": [], "problems": []}
    except ValueError as problem:
        raise UserError(
            f"No mesh serves project {folder.project}, and {problem}: `composemesh up` starts one."
        ) from None


def _finding(caller: str, addresses: list[dict[str, Any]]) -> list[str]:
    """Where the caller is to look for the others."""
    if not addresses:
        return []
    found = [f"  {each['host']}:{each['port']} at {each['address']}:{each['port']}" for each in addresses]
    return [f"{caller} reaches the others through it here:", *found]
