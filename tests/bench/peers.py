"""Who is compared. A peer is a few programs behind one port; they all forward to the same origin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from . import certificates, classics, envoy, gateway, mesh
from .processes import Running, await_answer, free_port, running

Commands = dict[str, list[str]]


@dataclass(frozen=True)
class Peer:
    """How to start one: from a folder, the port to listen on and the origin's, a command for each of its programs."""

    name: str
    commands: Callable[[Path, int, int], Commands]


@dataclass
class Started:
    name: str
    port: int
    programs: list[Running] = field(default_factory=list)


def _mesh(
    folder: Path, port: int, origin: int, *, tcp: bool = False, ruled: bool = False, compiled: bool = False
) -> Commands:
    return {"composemesh": mesh.command(port, origin, tcp=tcp, ruled=ruled, compiled=compiled)}


def _envoy_pair(folder: Path, port: int, origin: int, http2: bool = False) -> Commands:
    certificates.issue(folder)
    between = free_port()
    return {
        "envoy-caller": envoy.command(envoy.caller(folder, port, between, http2)),
        "envoy-callee": envoy.command(envoy.callee(folder, between, origin, http2)),
    }


def _envoy_hop(folder: Path, port: int, origin: int, http2: bool = False) -> Commands:
    return {"envoy-hop": envoy.command(envoy.hop(folder, port, origin, http2))}


def _envoy_tcp(folder: Path, port: int, origin: int) -> Commands:
    return {"envoy-tcp": envoy.command(envoy.tcp(folder, port, origin))}


def _nginx(folder: Path, port: int, origin: int) -> Commands:
    return {"nginx": classics.nginx(folder, port, origin)}


def _haproxy(folder: Path, port: int, origin: int, mode: str = "http") -> Commands:
    return {"haproxy": classics.haproxy(folder, port, origin, mode)}


def _gateway(folder: Path, port: int, origin: int) -> Commands:
    certificates.issue_edge(folder)
    return {"composemesh": gateway.command(port, origin, folder)}


def _envoy_edge(folder: Path, port: int, origin: int) -> Commands:
    return {"envoy-edge": envoy.command(envoy.edge(folder, port, origin))}


def _nginx_edge(folder: Path, port: int, origin: int) -> Commands:
    return {"nginx": classics.nginx_edge(folder, port, origin)}


def _haproxy_edge(folder: Path, port: int, origin: int) -> Commands:
    return {"haproxy": classics.haproxy(folder, port, origin, tls=f"ssl crt {folder}/edge-both.pem")}


MESH = Peer("composemesh", _mesh)
COMPILED = Peer("composemesh, compiled", partial(_mesh, compiled=True))
RULED = Peer("composemesh, by rules", partial(_mesh, ruled=True))
MESH_TCP = Peer("composemesh", partial(_mesh, tcp=True))
PAIR = Peer("Envoy pair, mTLS", _envoy_pair)
PAIR_H2 = Peer("Envoy pair, mTLS", partial(_envoy_pair, http2=True))
HOP = Peer("Envoy, one bare hop", _envoy_hop)
HOP_H2 = Peer("Envoy, one bare hop", partial(_envoy_hop, http2=True))
HOP_TCP = Peer("Envoy, tcp_proxy", _envoy_tcp)
GATEWAY = Peer("composemesh", _gateway)
EDGE = Peer("Envoy, one hop", _envoy_edge)
NGINX_EDGE = Peer("nginx", _nginx_edge)
HAPROXY_EDGE = Peer("haproxy", _haproxy_edge)
NGINX = Peer("nginx", _nginx)
HAPROXY = Peer("haproxy", _haproxy)
HAPROXY_TCP = Peer("haproxy, mode tcp", partial(_haproxy, mode="tcp"))


@contextmanager
def start(peer: Peer, folder: Path, origin: int, answers: Callable[[int], bool]) -> Iterator[Started]:
    """Start a peer's programs and wait until it answers through all of them. Raises NotHere."""
    started = Started(peer.name, free_port())
    with ExitStack() as stack:
        for name, command in peer.commands(folder, started.port, origin).items():
            started.programs.append(stack.enter_context(running(name, command, folder)))
        await_answer(started.port, started.programs, answers)
        yield started
