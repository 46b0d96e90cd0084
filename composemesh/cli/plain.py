"""The view for logs and pipes: what happened, and how much goes on, one line each and only when there is news."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from composemesh.cli.live import place_of
from composemesh.cli.pieces import milliseconds, percent, rate, safe

Json = Mapping[str, Any]


def summary(status: Json, graph: Json) -> str:
    """How much goes on, in one line; equal lines are not worth printing twice."""
    services = status.get("services", ())
    workloads = [workload for service in services for workload in service.get("workloads", ())]
    captured = sum(1 for workload in workloads if workload.get("captured"))
    requests = sum(edge.get("requests") or 0 for edge in graph.get("edges", ()))
    errors = sum(edge.get("errors") or 0 for edge in graph.get("edges", ()))
    busy = [_traffic(service) for service in services if service.get("requests_per_second")]
    line = (
        f"{status.get('state', 'unknown')}: {len(services)} services, {captured} of {len(workloads)} instances "
        f"captured, {requests} calls, {errors} errors"
    )
    return safe("; ".join([line, *busy])).plain


def _traffic(service: Json) -> str:
    success = percent(service.get("success_rate")).plain
    speed = f"{rate(service['requests_per_second'])}/s {success} p99 {milliseconds(service.get('p99_ms'))}"
    return f"{service.get('name')} {speed}"


def events(before: Json, now: Json) -> Iterator[str]:
    """What differs between two states of the mesh, a line each."""
    if before.get("state") != now.get("state"):
        yield f"mesh {safe(now.get('state')).plain}"
    was, is_ = _workloads(before), _workloads(now)
    for name in sorted(was.keys() - is_.keys()):
        yield safe(f"{name} has gone").plain
    for name, workload in sorted(is_.items()):
        if name not in was:
            yield safe(f"{name} is there: {_condition(workload)}").plain
        elif _condition(was[name]) != _condition(workload):
            yield safe(f"{name} is now {_condition(workload)}").plain
    for line in sorted(_problems(now) - _problems(before)):
        yield safe(line).plain
    for line in sorted(_problems(before) - _problems(now)):
        yield safe(f"solved: {line}").plain


def _workloads(status: Json) -> dict[str, Json]:
    return {
        str(workload.get("name")): workload
        for service in status.get("services", ())
        for workload in service.get("workloads", ())
    }


def _condition(workload: Json) -> str:
    health = workload.get("health")
    parts = [str(health)] if health not in (None, "", "none") else []
    parts.append("captured" if workload.get("captured") else str(workload.get("reason") or "not captured"))
    return ", ".join(parts)


def _problems(status: Json) -> set[str]:
    return {
        f"{problem.get('severity', 'error')}: "
        + ": ".join(filter(None, (place_of(problem), str(problem.get("message", "")))))
        for problem in status.get("problems", ())
    }
