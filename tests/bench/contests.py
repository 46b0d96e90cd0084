"""What is compared: a protocol, who serves behind the proxies, who proxies, and who asks for what."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import bulk, classics, http1, http2, idle, peers
from .load import Generate
from .peers import Peer


class Unit(enum.Enum):
    """What a contest is about, and so which figures are worth printing."""

    REQUEST = "request"
    CONNECTION = "connection"
    BYTE = "byte"
    LATENCY = "latency"
    MEMORY = "memory"


@dataclass(frozen=True)
class Contest:
    """One kind of load. Every peer forwards to the same origin and is asked by the same generator, in turn."""

    name: str
    origin: Callable[[Path, int], list[str]]
    """From a folder and a port, the command of what stands behind every proxy."""
    answers: Callable[[int], bool]
    generate: Generate
    peers: tuple[Peer, ...]
    beside: str
    """The peer that ratios are of."""
    connections: tuple[int, ...]
    seconds: int
    quick: tuple[int, ...] = ()
    """The numbers of connections that a quick run looks at; none leaves the contest out of it."""
    rounds: int = 3
    unit: Unit = Unit.REQUEST
    warm_up: bool = True


HTTP1, HTTP2, GRPC, TCP = "HTTP/1.1", "HTTP/2", "gRPC", "TCP"
STEADY, CONNECT, IDLE, LONG = "HTTP/1.1, half of its most", "TCP, connections", "Idle connections", "200,000 requests"

WEB = (peers.MESH, peers.PAIR, peers.HOP, peers.NGINX, peers.HAPROXY)
WEB_2 = (peers.MESH, peers.COMPILED, peers.PAIR_H2, peers.HOP_H2)
EDGES = (peers.GATEWAY, peers.EDGE, peers.NGINX_EDGE, peers.HAPROXY_EDGE)
"""The first writes the certificate that all of them show."""
BULK = (peers.MESH_TCP, peers.HOP_TCP, peers.HAPROXY_TCP)
_WEB = (classics.origin, http1.answers)
"""The origin of HTTP/1.1, and how to find out whether it is there."""

CONTESTS = (
    Contest(
        HTTP1,
        *_WEB,
        http1.asking(),
        (peers.MESH, peers.COMPILED, *WEB[1:]),
        peers.PAIR.name,
        connections=(1, 32, 256),
        quick=(1, 32),
        seconds=2,
    ),
    Contest(
        "HTTP/1.1, by rules",
        *_WEB,
        http1.asking(host="callee"),  # an address would name an instance, and go past its service's rules
        (peers.MESH, peers.RULED, peers.HOP),
        peers.MESH.name,
        connections=(32,),
        seconds=2,
    ),
    Contest(
        "HTTP/1.1, 10 fields and 1 KiB",
        *_WEB,
        http1.asking("1k", 10),
        WEB,
        peers.PAIR.name,
        connections=(32,),
        seconds=2,
    ),
    Contest(
        "HTTP/1.1, 40 fields",
        *_WEB,
        http1.asking("", 40),
        WEB,
        peers.PAIR.name,
        connections=(32,),
        seconds=2,
    ),
    Contest(
        "HTTP/1.1, 64 KiB",
        *_WEB,
        http1.asking("64k"),
        WEB,
        peers.PAIR.name,
        connections=(32,),
        seconds=2,
    ),
    Contest(
        STEADY,
        *_WEB,
        http1.half,
        (peers.MESH, peers.COMPILED, peers.PAIR, peers.HOP),
        peers.PAIR.name,
        connections=(32,),
        seconds=3,
        unit=Unit.LATENCY,
    ),
    Contest(
        "HTTPS at a gateway",
        classics.origin,
        http1.answers_encrypted,
        http1.asking(scheme="https"),
        EDGES,
        peers.EDGE.name,
        connections=(1, 32),
        seconds=2,
    ),
    Contest(
        "HTTPS at a gateway, connections",
        classics.origin,
        http1.answers_encrypted,
        http1.asking(scheme="https", keep=False),
        EDGES,
        peers.EDGE.name,
        connections=(32,),
        seconds=2,
        unit=Unit.CONNECTION,
    ),
    Contest(
        HTTP2,
        http2.origin,
        http2.answers,
        http2.generate,
        WEB_2,
        peers.PAIR_H2.name,
        connections=(8,),
        quick=(8,),
        seconds=2,
    ),
    Contest(
        GRPC,
        http2.grpc_origin,
        http2.answers,
        http2.call,
        WEB_2,
        peers.PAIR_H2.name,
        connections=(8,),
        quick=(8,),
        seconds=2,
    ),
    Contest(
        TCP,
        bulk.origin,
        bulk.answers,
        bulk.generate,
        BULK,
        peers.HOP_TCP.name,
        connections=(1,),
        quick=(1,),
        seconds=3,
        unit=Unit.BYTE,
    ),
    Contest(
        CONNECT,
        *_WEB,
        http1.asking(keep=False),
        BULK,
        peers.HOP_TCP.name,
        connections=(32,),
        seconds=2,
        unit=Unit.CONNECTION,
    ),
    Contest(
        IDLE,
        *_WEB,
        idle.generate,
        WEB,
        peers.PAIR.name,
        connections=(5000,),
        quick=(5000,),
        seconds=0,
        rounds=1,
        unit=Unit.MEMORY,
        warm_up=False,
    ),
    Contest(
        LONG,
        *_WEB,
        http1.until(200_000),
        (peers.MESH, peers.COMPILED, peers.HOP),
        peers.HOP.name,
        connections=(32,),
        seconds=2,
        rounds=1,
        unit=Unit.MEMORY,
    ),
)
