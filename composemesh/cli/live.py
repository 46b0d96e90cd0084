"""What a mesh looks like: pure functions from the admin API's JSON to things that rich can print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from composemesh.cli.pieces import NOTHING, count, milliseconds, percent, rate, safe, table

Json = Mapping[str, Any]

STATES = {"serving": "bold green", "starting": "bold yellow", "degraded": "bold red"}
HEALTH = {"healthy": "green", "unhealthy": "red", "starting": "yellow", "ejected": "yellow"}
CLIENTS = {"synced": "green", "waiting": "yellow", "refused": "red"}
SEVERITIES = {"error": "red", "warning": "yellow"}
OTHER = "other"
"""What the hub calls all those that are too many to be told apart."""
MOST_PROBLEMS = 5
"""In the live view, which must leave room for the services; `composemesh status` shows all."""


def live_view(status: Json, graph: Json) -> RenderableType:
    """The live view of `composemesh up`: one line a service, one a call, and what is wrong."""
    parts = [headline(status), _services(status.get("services", ())), graph_view(graph)]
    problems = status.get("problems", ())
    parts += _problems(problems[:MOST_PROBLEMS])
    if len(problems) > MOST_PROBLEMS:
        parts.append(Text(f"… and {len(problems) - MOST_PROBLEMS} more: composemesh status", style="dim"))
    return Group(*parts)


def status_view(status: Json) -> RenderableType:
    """`composemesh status`: as the live view, with one line for each instance."""
    services = status.get("services", ())
    parts = [headline(status), _services(services)]
    workloads = [(service, workload) for service in services for workload in service.get("workloads", ())]
    if workloads:
        rows = table("INSTANCE", "SERVICE", "VERSION", "ADDRESS", "HEALTH", "CAPTURED")
        for service, workload in workloads:
            rows.add_row(
                safe(workload.get("name", "")),
                safe(service.get("name", "")),
                safe(workload.get("version", "")),
                safe(workload.get("address", "")),
                _health(workload),
                _captured(workload),
            )
        parts.append(rows)
    if status.get("xds"):
        parts.append(_clients(status["xds"]))
    return Group(*parts, *_problems(status.get("problems", ())))


def graph_view(graph: Json) -> RenderableType:
    """`composemesh graph`: one line for each pair that spoke."""
    edges = graph.get("edges", ())
    if not edges:
        return Text("No traffic yet.", style="dim")
    nodes = {node.get("id"): node for node in graph.get("nodes", ())}
    rows = table("CALLER", "CALLED", "PROTOCOL", ">REQUESTS", ">ERRORS", ">P50", ">P99")
    for edge in sorted(edges, key=lambda edge: (str(edge.get("source")), str(edge.get("destination")))):
        errors = edge.get("errors")
        rows.add_row(
            _node(nodes, edge.get("source")),
            _called(nodes, edge.get("destination")),
            safe(edge.get("protocol", "")),
            count(edge.get("requests")),
            Text(count(errors), style="red" if errors else ""),
            milliseconds(edge.get("p50_ms")),
            milliseconds(edge.get("p99_ms")),
        )
    return rows


def headline(status: Json) -> Text:
    """Project, state and where its admin API is."""
    state = str(status.get("state", "unknown"))
    line = Text.assemble(
        safe(status.get("project", ""), "bold"), "  ", safe(state, STATES.get(state, "bold")), overflow="fold"
    )
    for name, value in (
        ("", status.get("admin_url")),
        ("capture ", status.get("capture")),
        ("xDS ", status.get("xds_url")),
        ("mTLS ", status.get("mtls")),
    ):
        if value:
            line.append(" · " + name, "dim").append(safe(value))
    return line


def _services(services: Sequence[Json]) -> RenderableType:
    if not services:
        return Text("No service runs yet.", style="dim")
    rows = table("SERVICE", "VERSIONS", "INSTANCES", ">REQ/S", ">SUCCESS", ">P50", ">P99")
    for service in services:
        rows.add_row(
            safe(service.get("name", ""), "bold"),
            safe(" ".join(map(str, service.get("versions", ())))),
            _instances(service.get("workloads", ())),
            rate(service.get("requests_per_second")),
            percent(service.get("success_rate")),
            milliseconds(service.get("p50_ms")),
            milliseconds(service.get("p99_ms")),
        )
    return rows


def _clients(clients: Sequence[Json]) -> RenderableType:
    rows = table("XDS CLIENT", "ADDRESS", "TYPE", "VERSION", "STATE")
    for client in clients:
        state = str(client.get("state", ""))
        rows.add_row(
            safe(client.get("node") or NOTHING),
            safe(client.get("address", "")),
            safe(client.get("type", "")),
            safe(client.get("version") or NOTHING),
            safe(" ".join([state, *map(str, client.get("refused", ()))]), CLIENTS.get(state, "")),
        )
    return rows


def _instances(workloads: Sequence[Json]) -> Text:
    """``3``, or what keeps them from being three captured and healthy ones."""
    if not workloads:
        return Text("none", style="red")
    line = Text(str(len(workloads)), style="green")
    free = sum(1 for workload in workloads if not workload.get("captured") and workload.get("kind") != "found")
    ill = sum(1 for workload in workloads if workload.get("health") == "unhealthy")
    if free:
        line.append(f", {free} not captured", "yellow")
    if ill:
        line.append(f", {ill} unhealthy", "red")
    return line


def _health(workload: Json) -> Text:
    health = str(workload.get("health", ""))
    return Text(NOTHING) if health in ("", "none") else safe(health, HEALTH.get(health, ""))


def _captured(workload: Json) -> Text:
    if workload.get("captured"):
        return Text("yes", style="green")
    return safe(workload.get("reason") or "no", "yellow")


def _node(nodes: Mapping[Any, Json], name: Any) -> Text:
    """A service, with its version where it says one; a caller from outside by its kind."""
    node = nodes.get(name)
    if node is None:
        return safe(name)
    version = node.get("version") or ""
    plain = version in ("", "unknown", "latest")
    text = safe(node.get("service") or name, "" if node.get("kind") == "service" else "italic")
    return text if plain else text.append(safe(f" {version}", "dim"))


def _called(nodes: Mapping[Any, Json], name: Any) -> Text:
    """As `_node`; a service of which no workload was reached is told from one whose workloads are of no version."""
    node, text = nodes.get(name) or {}, _node(nodes, name)
    unreached = node.get("kind") == "service" and node.get("version") == "unknown" and node.get("service") != OTHER
    return text.append(" (not reached)", "dim") if unreached else text


def _problems(problems: Sequence[Json]) -> Iterator[Text]:
    for problem in problems:
        severity = str(problem.get("severity", "error"))
        line = safe(f"{severity}: ", SEVERITIES.get(severity, "dim"))
        if place := place_of(problem):
            line.append(safe(f"{place}: "))
        line.append(safe(problem.get("message", "")))
        if problem.get("hint"):
            line.append(safe(f" {problem['hint']}", "dim"))
        yield line


def place_of(problem: Json) -> str:
    """``compose.yaml:12``, or the resource where there is no file."""
    if not problem.get("file"):
        return str(problem.get("resource", ""))
    return f"{problem['file']}:{problem['line']}" if problem.get("line") else str(problem["file"])
