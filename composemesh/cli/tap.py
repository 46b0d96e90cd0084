"""`composemesh tap`: every request as it ends."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import click

from composemesh.cli.context import about_project, serving
from composemesh.cli.output import printable
from composemesh.stack.errors import CallError

if TYPE_CHECKING:
    from composemesh.stack.client import MeshClient
    from composemesh.stack.compose import ComposeProject


@click.command()
@click.argument("service", required=False)
@click.option("--from", "source", metavar="SERVICE", help="Only what this service asks for.")
@click.option("--status", metavar="STATUS", help="Only answers with this status, e.g. 503 or 5xx.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@about_project
def tap(project: ComposeProject, service: str | None, source: str | None, status: str | None, form: str) -> None:
    """Show requests as they end, those to SERVICE or all, until Ctrl-C."""
    from composemesh.stack.client import MeshClient

    if status and not re.fullmatch(r"[1-9]\d\d|[1-9]xx", status):
        raise CallError(f"--status {status}: say a status like 503, or a class like 5xx.")
    folder, _ = serving(project)
    asked = {"service": service or "", "source": source or "", "status": status or ""}
    mesh = MeshClient(folder.socket)
    for unknown in {service, source} - {None, *_known(mesh)}:
        print(f"composemesh: nothing is known of {unknown} yet; waiting for it.", file=sys.stderr)
    for name, value in mesh.stream("/api/v1/tap", **asked):
        if name == "record":
            print(json.dumps(value, ensure_ascii=False) if form == "json" else line(value), flush=True)
        elif name == "lost":
            print(f"composemesh: {value['records']} records came too fast to be shown.", file=sys.stderr)
        elif name == "refused":
            print(f"composemesh: {value['error']}", file=sys.stderr)


def _known(mesh: MeshClient) -> set[str]:
    """Who may have sent or answered a request so far."""
    return {service["name"] for service in mesh.status()["services"]} | {
        node["service"] for node in mesh.graph("all")["nodes"]
    }


def line(record: dict[str, Any]) -> str:
    """One exchange, as people read it."""
    what = f"{record['method']} {record['path']}" if record["method"] else record["protocol"]
    status = record["status"] or "-"
    flags = f" {','.join(record['flags'])}" if record["flags"] else ""
    version = f"/{record['version']}" if record["version"] != "unknown" else ""
    text = (
        f"{record['time'][11:23]}  {record['source']} → {record['destination']}{version}  {what}  {status}{flags}  "
        f"{record['duration_ms'] or 0:.1f} ms" + (f"  {record['route']}" if record["route"] else "")
    )
    return printable(text)
