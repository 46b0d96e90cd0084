"""`composemesh export envoy`: a bootstrap for whoever asks for one, and where its caller will find the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from composemesh.runtime.addresses import host_and_port
from composemesh.xds.bootstrap import Transport, bootstrap, checked, static
from composemesh.xds.resources import LISTENER, Node, generate
from composemesh.xds.resources.listeners import OwnAddresses
from composemesh.xds.resources.node import ORIGINAL_DST, OWN_ADDRESSES
from composemesh.xds.resources.view import View

if TYPE_CHECKING:
    from composemesh.model.snapshot import Snapshot
    from composemesh.model.workload import Discovered

SERVER = ("127.0.0.1", 15010)
Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for."""

    caller: str
    """A workload, a Compose service or a service."""
    server: Address = SERVER
    """Where the Envoy will find the mesh."""
    transport: Transport = Transport.ADS
    listen: str = ""
    """`original_dst`, or a network; empty for the usual one."""
    admin: Address | None = None
    """Where the Envoy's own admin port is to be."""
    static: bool = False
    """Whether the mesh as it is now is to be in it, and nobody asked later."""

    @classmethod
    def read(cls, said: Mapping[str, str]) -> Wanted:
        """From the words of a query. Raises ValueError, with a sentence that says which of them is wrong."""
        caller, listen = said.get("caller", ""), said.get("listen", "")
        if not caller:
            raise ValueError("caller is missing")
        if listen not in ("", ORIGINAL_DST):
            try:
                IPv4Network(listen)
            except ValueError as problem:
                raise ValueError(f"listen is neither {ORIGINAL_DST} nor an IPv4 network: {problem}") from None
        try:
            transport = Transport(said.get("transport") or Transport.ADS)
        except ValueError:
            raise ValueError(f"transport is one of {', '.join(Transport)}") from None
        server = _address("server", said["server"]) if said.get("server") else SERVER
        admin = _address("admin", said["admin"]) if said.get("admin") else None
        return cls(caller, server, transport, listen, admin, said.get("static") == "true")

    @property
    def node(self) -> Node:
        """The Envoy as it will introduce itself."""
        metadata = {"WORKLOAD": self.caller, "LISTEN": self.listen or OWN_ADDRESSES}
        return Node(f"sidecar~{self.caller}", self.caller, "envoy", metadata)


def alone(wanted: Wanted) -> dict[str, Any]:
    """The bootstrap that asks for all the rest, made without a mesh. Raises ValueError where it is to be static."""
    if wanted.static:
        raise ValueError("only a mesh that runs can be written down")
    made = bootstrap(wanted.node, wanted.server, wanted.transport, wanted.admin)
    checked(made)
    return made


def export(snapshot: Snapshot, discovered: Discovered, wanted: Wanted) -> dict[str, Any]:
    """`{bootstrap, addresses, problems}`. Raises LookupError with the caller's name where no such workload runs."""
    node = wanted.node
    if View(snapshot, discovered, node).caller is None:
        raise LookupError(wanted.caller)
    made = generate(snapshot, discovered, node)
    written = static(node, made, wanted.admin) if wanted.static else alone(wanted)
    own = OwnAddresses(node)
    hosts = [] if node.redirected else [name.rpartition(":") for name in made[LISTENER]]
    return {
        "bootstrap": written,
        "addresses": [{"host": host, "port": int(port), "address": own.of(host)} for host, _, port in hosts],
        "problems": [asdict(problem) for problem in made.problems],
    }


def _address(what: str, said: str) -> Address:
    try:
        return host_and_port(said.rpartition("://")[2].rstrip("/"))
    except ValueError:
        raise ValueError(f"{what} {said!r} is not HOST:PORT") from None
