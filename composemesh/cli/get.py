"""`composemesh get`: the Istio documents in force, as a table, whole, or one value out of one."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import click

from composemesh.cli.context import about_mesh, serving
from composemesh.cli.documents import kind_of
from composemesh.cli.output import emit
from composemesh.stack.errors import CallError, UserError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from composemesh.stack.compose import ComposeProject

JSONPATH = "jsonpath="
FORMS = "table, json, yaml or jsonpath=…"


@click.command()
@click.argument("kind", default="all")
@click.argument("name", required=False)
@click.option("-o", "--output", "--format", "form", default="table", metavar="FORM", help=FORMS)
@about_mesh
def get(project: ComposeProject, kind: str, name: str | None, form: str) -> None:
    """Show the Istio documents in force: all, those of a KIND, or one.

    -o jsonpath='{.spec.http[0].match[0].uri}' prints one value, as kubectl does.
    """
    from composemesh.stack.client import MeshClient

    if form not in ("table", "json", "yaml") and not form.startswith(JSONPATH):
        raise CallError(f"-o {form}: use table, json, yaml or jsonpath=….")
    if name is None and "/" in kind:
        kind, _, name = kind.partition("/")
    folder, entry = serving(project)
    client = MeshClient(folder.socket)
    wanted = [] if kind == "all" else [kind_of(one, client.kinds) for one in kind.split(",")]
    found = client.resources(wanted[0] if len(wanted) == 1 else "", name or "")
    found = [one for one in found if not wanted or one["kind"].lower() in {kind.lower() for kind in wanted}]
    if name is not None and not found:
        raise UserError(f"No {wanted[0] if wanted else 'resource'} {name} in project {entry.project}.")
    documents = [one["document"] for one in found]
    value = documents[0] if name is not None else {"apiVersion": "v1", "kind": "List", "items": documents}
    if form.startswith(JSONPATH):
        print(evaluate(form.removeprefix(JSONPATH), value))
        return
    emit(form, value, lambda: _table(found))


def evaluate(template: str, value: Any) -> str:
    """kubectl's jsonpath template: text with expressions in braces. Raises CallError where one is none."""
    import jsonpath

    def found(match: re.Match[str]) -> str:
        expression = match[1].strip()
        if expression.startswith(('"', "'")):
            return expression[1:-1].replace("\\n", "\n").replace("\\t", "\t")
        path = expression if expression.startswith("$") else f"${expression}"
        try:
            values = jsonpath.findall(path, value)
        except jsonpath.JSONPathError as problem:
            raise CallError(f"jsonpath {{{expression}}}: {problem}.") from None
        return " ".join(one if isinstance(one, str) else json.dumps(one, separators=(",", ":")) for one in values)

    template = template.strip()
    if "{" not in template:
        template = f"{{{template}}}"
    if "{" in (rest := re.sub(r"\{[^{}]*\}", "", template)) or "}" in rest:
        raise CallError(f"jsonpath {template}: each brace must be closed, as in '{{.spec.hosts}}'.")
    return re.sub(r"\{([^{}]*)\}", found, template)


def _table(found: list[dict[str, Any]]) -> RenderableType:
    from composemesh.cli.pieces import safe, table

    if not found:
        return safe("No resources: `composemesh apply -f FILE` puts some in force.")
    grid = table("KIND", "NAME", "HOSTS", "FROM")
    for one in found:
        place = "applied" if one["applied"] else f"{one['file']}:{one['line']}"
        grid.add_row(*map(safe, (one["kind"], one["name"], _hosts(one["document"]), place)))
    return grid


def _hosts(document: dict[str, Any]) -> str:
    spec = document.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    hosts = spec.get("hosts") or [spec.get("host", "")]
    servers = spec.get("servers")
    if isinstance(servers, list):
        hosts = [host for server in servers if isinstance(server, dict) for host in server.get("hosts") or ()]
    return ", ".join(map(str, hosts)) if isinstance(hosts, list) else str(hosts)
