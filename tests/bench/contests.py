"""What is compared: a protocol, who serves behind the proxies, who proxies, and who asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import bulk, classics, http1, http2, peers
from .load import Load
from .peers import Peer


@dataclass(frozen=True)
class Contest:
    """One protocol. Every peer forwards to the same origin and is asked by the same generator, in turn."""

    name: str
    origin: Callable[[Path, int], list[str]]
    """From a folder and a port, the command of what stands behind every proxy."""
    answers: Callable[[int], bool]
    generate: Callable[[int, int, int, Path], Load]
    """From a port, a number of connections, seconds and a folder."""
    peers: tuple[Peer, ...]
    beside: str
    """The peer that ratios are of."""
    connections: tuple[int, ...]
    seconds: int
    quick_seconds: int = 1


HTTP1, HTTP2, GRPC, TCP = "HTTP/1.1", "HTTP/2", "gRPC", "TCP"

CONTESTS = (
    Contest(
        HTTP1,
        classics.origin,
        http1.answers,
        http1.generate,
        (peers.MESH, peers.PAIR, peers.HOP, peers.NGINX, peers.HAPROXY),
        peers.PAIR.name,
        connections=(1, 32),
        seconds=5,
    ),
    Contest(
        HTTP2,
        http2.origin,
        http2.answers,
        http2.generate,
        (peers.MESH, peers.PAIR_H2, peers.HOP_H2),
        peers.PAIR_H2.name,
        connections=(8,),
        seconds=5,
    ),
    Contest(
        GRPC,
        http2.grpc_origin,
        http2.answers,
        http2.call,
        (peers.MESH, peers.PAIR_H2, peers.HOP_H2),
        peers.PAIR_H2.name,
        connections=(8,),
        seconds=5,
    ),
    Contest(
        TCP,
        bulk.origin,
        bulk.answers,
        bulk.generate,
        (peers.MESH, peers.HOP_TCP, peers.HAPROXY_TCP),
        peers.HOP_TCP.name,
        connections=(1,),
        seconds=3,
    ),
)
