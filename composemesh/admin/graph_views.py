"""Traffic as JSON: who calls whom, how it went step by step, and the same for Graphviz.

Pure, like `views`, whose rule holds: fields may be added, never renamed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from composemesh.admin.turns import Pieces
from composemesh.admin.views import Json, milliseconds
from composemesh.model.peer import Peer, PeerKind
from composemesh.telemetry.hub import Hub, TcpSeries
from composemesh.telemetry.window import LONGEST, Tally

STEPS = ((2, 60), (10, 300), (60, LONGEST))
"""Seconds in one step of a series, and the longest window that has such steps."""
_WINDOW = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(ms|s|m|h)?", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, None: 1}


def window_seconds(text: str) -> int | None:
    """`60s`, `5m` or plain `60` in whole seconds, rounded up; None for `all`.

    Raises ValueError with a sentence that says what is possible.
    """
    if text == "all":
        return None
    said = _WINDOW.fullmatch(text)
    seconds = math.ceil(float(said[1]) * _UNITS[said[2]]) if said else 0
    if not 1 <= seconds <= LONGEST:
        raise ValueError(f"window is 1s to {LONGEST // 3600}h, or all.")
    return seconds


def graph(hub: Hub, seconds: int | None, running: Iterable[tuple[str, str]] = ()) -> Pieces[Json]:
    """Who calls whom. Nodes are (service, version): those `running`, and those seen at either end of an edge."""
    now = hub.clock()
    lived = max(1, round(now - hub.started))
    nodes: dict[str, Json] = {}
    for service, version in sorted(running):
        _see(nodes, Peer(service, version, "", PeerKind.SERVICE, captured=True))
    edges = []
    tcp: dict[int, list[TcpSeries]] = {}
    for one in hub.tcp_series:
        tcp.setdefault(id(one.edge), []).append(one)
    for edge in tuple(hub.edges):
        yield
        connections = tcp.get(id(edge), ())
        tally = edge.window.over(now, seconds)
        still_open = sum(one.opened - one.closed for one in connections)
        if not tally.requests and not still_open:
            continue
        shown = _edge(_see(nodes, edge.source), _see(nodes, edge.destination), edge.protocol, tally)
        if edge.protocol == "tcp":
            shown["open"] = still_open
            if seconds is None:
                shown["bytes_sent"] = sum(one.sent for one in connections)
                shown["bytes_received"] = sum(one.received for one in connections)
        edges.append(shown)
    return {
        "window_seconds": seconds if seconds is not None else lived,
        "elapsed_seconds": lived if seconds is None else min(seconds, lived),
        "nodes": list(nodes.values()),
        "edges": sorted(edges, key=lambda edge: (edge["source"], edge["destination"], edge["protocol"])),
    }


def series(hub: Hub, seconds: int, source: str, destination: str) -> Pieces[Json]:
    """What went from one end to the other, step by step, the oldest first. An end is a node's id, a service's name,
    or empty for whoever it was; the last step is not over yet."""
    step = next(step for step, span in STEPS if seconds <= span)
    now = hub.clock()
    slots: dict[int, Tally] = {}
    answered: dict[int, Tally] = {}
    for edge in tuple(hub.edges):
        yield
        if _is_end(edge.source, source) and _is_end(edge.destination, destination):
            for at, tally in edge.window.slots(now, seconds, step).items():
                slots.setdefault(at, Tally(at)).add(tally)
                if edge.protocol != "tcp":
                    answered.setdefault(at, Tally(at)).add(tally)
    newest = int(now) - int(now) % step
    nothing = Tally(0)
    return {
        "window_seconds": seconds,
        "step_seconds": step,
        "points": [
            _point(now, at, step, slots.get(at, nothing), answered.get(at, nothing))
            for at in range(newest - (seconds - 1) // step * step, newest + 1, step)
            if at + step > hub.started
        ],
    }


def _point(now: float, at: int, step: int, tally: Tally, answered: Tally) -> Json:
    return {
        "ago": round(now - at, 3),
        "seconds": round(min(step, now - at), 3),
        "requests": tally.requests,
        "errors": tally.errors,
        "p50_ms": milliseconds(answered.quantile(0.5)),
        "p99_ms": milliseconds(answered.quantile(0.99)),
        "bytes_sent": tally.sent,
        "bytes_received": tally.received,
    }


def _is_end(peer: Peer, asked: str) -> bool:
    return not asked or asked == node_id(peer) or (peer.kind is PeerKind.SERVICE and asked == peer.service)


def dotviz(shown: Json) -> str:
    """A graph in Graphviz's language, as Istio's servicegraph gave it under this name."""
    lines = ["digraph mesh {", "  rankdir=LR;"]
    lines += [f"  {_quoted(node['id'])};" for node in shown["nodes"]]
    for edge in shown["edges"]:
        label = f"{edge['protocol']} {edge['requests']}" + (f", {edge['errors']} failed" if edge["errors"] else "")
        lines.append(f"  {_quoted(edge['source'])} -> {_quoted(edge['destination'])} [label={_quoted(label)}];")
    return "\n".join([*lines, "}", ""])


def _edge(source: str, destination: str, protocol: str, tally: Tally) -> Json:
    latency = tally.quantile if protocol != "tcp" else lambda _share: None
    return {
        "source": source,
        "destination": destination,
        "protocol": protocol,
        "requests": tally.requests,
        "errors": tally.errors,
        "p50_ms": milliseconds(latency(0.5)),
        "p99_ms": milliseconds(latency(0.99)),
        "bytes_sent": tally.sent,
        "bytes_received": tally.received,
        "mtls": False,
    }


def _see(nodes: dict[str, Json], peer: Peer) -> str:
    """Add a node if it is new; returns its id, which stays the same for as long as service and version do."""
    node = node_id(peer)
    nodes.setdefault(node, {"id": node, "service": peer.service, "version": peer.version, "kind": peer.kind.value})
    return node


def node_id(peer: Peer) -> str:
    """`reviews/v2` for a service; other kinds have a prefix that no service's name can have: `external:192.0.2.7`."""
    if peer.kind is PeerKind.SERVICE:
        return f"{peer.service}/{peer.version}"
    return "unknown" if peer.kind is PeerKind.UNKNOWN else f"{peer.kind.value}:{peer.service}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'
