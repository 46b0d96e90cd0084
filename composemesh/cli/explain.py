"""`composemesh explain`: which rule, policy and endpoint a request would meet, and why no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from composemesh.cli.context import about_project, serving
from composemesh.cli.output import emit, format_option
from composemesh.stack.errors import CallError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from composemesh.stack.compose import ComposeProject


@click.command()
@click.argument("caller")
@click.argument("url")
@click.option("-X", "--method", default="GET", show_default=True, help="Of the request.")
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME: VALUE", help="A header; may be repeated.")
@click.option("--gateway", is_flag=True, help="CALLER is a gateway.")
@format_option
@about_project
def explain(
    project: ComposeProject, caller: str, url: str, method: str, headers: tuple[str, ...], gateway: bool, form: str
) -> None:
    """Say what would become of a request, and why; nothing is sent.

    composemesh explain productpage http://reviews:9080/reviews/0 -H 'end-user: jason'
    """
    from composemesh.stack.client import MeshClient

    for header in headers:
        if ":" not in header.strip(":"):
            raise CallError(f"-H {header!r}: say NAME: VALUE.")
    _check(url)
    folder, _ = serving(project)
    said = MeshClient(folder.socket).explain(caller, url, method, headers, gateway=gateway)
    emit(form, said, lambda: _shown(said))


def _check(url: str) -> None:
    """Raises CallError for what no request could be sent to."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise CallError(f"{url!r}: say http://HOST[:PORT]/PATH, with a port from 1 to 65535.")


def _place(used: dict[str, Any]) -> str:
    whose = f"service {used['service']}" if used["service"] else "the mesh"
    return f"{whose} ({used['file']}:{used['line']})" if used["file"] else whose


def _shown(said: dict[str, Any]) -> RenderableType:
    from rich.console import Group

    from composemesh.cli.pieces import safe, table

    steps = table("", "STAGE", "CANDIDATE", "BECAUSE", "WHERE")
    for step in said["steps"]:
        where = f"{step['file']}:{step['line']}" if step["line"] else step["file"] or ""
        mark = safe("✔", "green") if step["matched"] else safe("✖", "dim")
        steps.add_row(mark, *map(safe, (step["stage"], step["candidate"], step["because"], where)))
    decision = said["decision"]
    rule = f", {decision['rule']}" if decision["rule"] not in (None, decision["route"]) else ""
    lines = [safe(f"route {decision['route'] or 'none'}{rule}")]
    lines += [safe(f"through filter {each['name']} of {_place(each)}") for each in decision["filters"]]
    lines += [safe(f"does {action}") for action in decision["actions"]]
    lines += [safe(f"to {each['backend']}: {each['share']:.0%}") for each in decision["split"]]
    lines += [safe(f"under {policy}") for policy in decision["policies"]]
    lines += [
        safe(f"at {each['address']} ({each['workload']}, {each['version']}, health {each['health']})")
        for each in decision["endpoints"]
    ]
    return Group(steps, *lines)
