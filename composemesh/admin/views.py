"""The JSON shapes that scripts, the command line and the UI build on. Pure. Fields may be added, never renamed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from composemesh.admin.turns import Pieces
from composemesh.model.peer import PeerKind
from composemesh.model.problem import Problem, Severity
from composemesh.model.record import Record
from composemesh.model.snapshot import Snapshot
from composemesh.model.workload import Discovered, Impostor, State, Workload
from composemesh.runtime.captured import Captures
from composemesh.telemetry.hub import Edge, Hub
from composemesh.telemetry.series import failed
from composemesh.telemetry.window import SECONDS, Tally

Json = dict[str, Any]
Ejected = Callable[[str, tuple[str, str]], float]
"""Service, and life of a workload → seconds for which callers still leave it out; 0 where they don't."""


def status(
    *,
    project: str,
    version: str,
    pid: int,
    state: str,
    admin_url: str,
    xds_url: str = "",
    xds: Iterable[Json] = (),
    capture: str,
    discovered: Discovered,
    snapshot: Snapshot,
    captures: Captures,
    problems: Iterable[Problem],
    hub: Hub,
    ejected: Ejected,
    revision: int = 0,
) -> Pieces[Json]:
    """Everything about the mesh at a glance. `state` is `starting` or `serving`; the rest may make it `degraded`."""
    found = [*problems, *_troubles(discovered)]
    if state == "serving" and (discovered.trouble or any(one.severity is Severity.ERROR for one in found)):
        state = "degraded"
    shown = yield from services(discovered, snapshot, captures, hub, ejected)
    return {
        "project": project,
        "pid": pid,
        "version": version,
        "state": state,
        "admin_url": admin_url,
        "xds_url": xds_url,
        "mtls": "off",
        "capture": capture,
        "services": shown,
        "problems": [problem(one) for one in found],
        "revision": revision,
        "xds": list(xds),
    }


def services(
    discovered: Discovered,
    snapshot: Snapshot,
    captures: Captures,
    hub: Hub,
    ejected: Ejected,
) -> Pieces[list[Json]]:
    """One entry a service, by name: its versions, its workloads, and how the last minute went for its callers."""
    members: dict[str, list[tuple[str, Workload]]] = {}
    for workload in discovered.workloads:
        settings = snapshot.settings_of(workload)
        members.setdefault(settings.service, []).append((settings.version, workload))
    traffic: dict[str, list[Edge]] = {}
    for edge in hub.edges:
        if edge.destination.kind is PeerKind.SERVICE:
            traffic.setdefault(edge.destination.service, []).append(edge)
    shown = []
    for name in sorted(members):
        rates = yield from _rates(traffic.get(name, ()), hub)
        shown.append(
            {
                "name": name,
                "versions": sorted({version for version, _ in members[name]}),
                "ports": sorted({port for _, one in members[name] for port in _ports(one, captures)}),
                "workloads": [
                    _workload(version, one, captures, ejected(name, one.life))
                    for version, one in sorted(members[name], key=lambda member: (member[0], member[1].name))
                ],
                **rates,
            }
        )
    return shown


def problem(one: Problem) -> Json:
    """A problem as JSON: severity, code, message, hint, file, line, column, resource."""
    return {**asdict(one), "severity": one.severity.value}


def tapped(record: Record) -> Json:
    """One exchange that has ended (the shape `tap`)."""
    flag = record.flag.value
    trace = record.traceparent.split("-")
    return {
        "id": record.request_id,
        "time": datetime.fromtimestamp(record.start, UTC).isoformat(timespec="milliseconds"),
        "source": record.source.service,
        "destination": record.destination.service,
        "version": record.destination.version,
        "workload": record.destination.workload,
        "source_version": record.source.version,
        "source_workload": record.source.workload,
        "source_kind": record.source.kind.value,
        "destination_kind": record.destination.kind.value,
        "protocol": record.protocol,
        "http_version": record.http_version / 10 if record.http_version else None,
        "method": record.method,
        "path": record.path,
        "authority": record.authority,
        "status": record.response_code,
        "grpc_status": record.grpc_status if record.grpc_status >= 0 else None,
        "flags": [] if flag == "-" else [flag],
        "details": record.details,
        "failed": failed(record.protocol, record.response_code, record.grpc_status, record.flag),
        "duration_ms": milliseconds(record.duration),
        "upstream_ms": milliseconds(record.upstream_duration) if record.upstream_duration else None,
        "address": record.upstream_address,
        "user_agent": record.user_agent,
        "sni": record.sni,
        "bytes_sent": record.bytes_sent,
        "bytes_received": record.bytes_received,
        "attempts": record.attempts,
        "trace_id": trace[1] if len(trace) == 4 else "",
        "route": record.route,
        "headers": dict(record.headers),
    }


def _troubles(discovered: Discovered) -> Iterable[Problem]:
    if discovered.trouble:
        yield Problem(
            Severity.WARNING,
            "source-unreachable",
            discovered.trouble,
            "What was last known stays in service; changes are caught up when the source is back.",
        )
    yield from map(_impostor, discovered.impostors)


def _impostor(one: Impostor) -> Problem:
    return Problem(
        Severity.WARNING,
        "impostor",
        f"Container {one.name} claims to be service {one.claims}, on the word of its image {one.image} alone: "
        "it was not taken in.",
        "Start it with Compose if it belongs to the project; otherwise find out who put these labels on the image.",
        resource=f"container {one.name}",
    )


def _ports(one: Workload, captures: Captures) -> Iterable[int]:
    """What is declared; of who declares nothing, what it listens on."""
    captured = captures.captured.get(one.life)
    return one.ports or (captured.listening() if captured is not None else ())


def _workload(version: str, one: Workload, captures: Captures, ejected: float) -> Json:
    captured = one.life in captures.captured
    health = one.health.value if one.state is State.RUNNING else one.state.value
    reason = "" if captured else captures.refused.get(one.id, "Not captured yet.")
    if ejected and one.state is State.RUNNING:
        health = "ejected"
        reason = reason or f"Left out for {math.ceil(ejected)} s more, because it kept failing (outlierDetection)."
    return {
        "name": one.name,
        "version": version,
        "address": next(iter(one.addresses), ""),
        "health": health,
        "captured": captured,
        "reason": reason,
        "kind": one.kind.value,
    }


def _rates(edges: Iterable[Edge], hub: Hub) -> Pieces[Json]:
    """The last minute. Connections of TCP count as requests, but how long they lasted is nobody's latency."""
    now = hub.clock()
    answered, connected = Tally(0), Tally(0)
    for edge in edges:
        yield
        edge.window.over(now, SECONDS, connected if edge.protocol == "tcp" else answered)
    requests = answered.requests + connected.requests
    errors = answered.errors + connected.errors
    elapsed = min(SECONDS - 1 + now % 1, max(1.0, now - hub.started))
    return {
        "requests_per_second": round(requests / elapsed, 3),
        "success_rate": 1 - errors / requests if requests else None,
        "p50_ms": milliseconds(answered.quantile(0.5)),
        "p99_ms": milliseconds(answered.quantile(0.99)),
    }


def milliseconds(seconds: float | None) -> float | None:
    """As these shapes have durations."""
    return None if seconds is None else round(seconds * 1000, 3)
