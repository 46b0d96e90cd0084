"""LDS of an Envoy that stands before a caller: an address of its own for everyone whom its caller may mean.

Nothing is redirected to it. Its caller is told the addresses instead, as applications on one host are told in their
environment; `composemesh export envoy` prints them. Each is made of the caller's and the callee's names alone, so it
is the same in every run, and two Envoys on one host do not meet.
"""

from __future__ import annotations

from hashlib import blake2s
from typing import TYPE_CHECKING, Any

from composemesh.model.snapshot import Protocol
from composemesh.xds import protos
from composemesh.xds.resources.chains import (
    APPLICATION_PROTOCOLS,
    INSPECTION,
    connection_chains,
    http_chain,
    inspector,
)
from composemesh.xds.resources.resource import packed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from composemesh.xds.resources.callees import Callee
    from composemesh.xds.resources.making import Making
    from composemesh.xds.resources.node import Node
    from composemesh.xds.resources.resource import Resource

LISTENER = "envoy.config.listener.v3.Listener"
CHAIN_MATCH = "envoy.config.listener.v3.FilterChainMatch"


def generate(making: Making, callees: Iterable[Callee]) -> dict[str, Resource]:
    """A listener for each callee."""
    found: dict[str, Resource] = {}
    taken: dict[tuple[str, int], str] = {}
    own = OwnAddresses(making.node)
    for callee in callees:
        if callee.name.startswith("*"):
            making.cannot(f"the pattern {callee.name}, which has no address of its own", callee.listener)
            continue
        address = own.of(callee.name)
        first = taken.setdefault((address, callee.port), callee.listener)
        if first != callee.listener:
            making.cannot(f"{callee.listener}: its address {address} is {first}'s", callee.listener, hint=WIDER)
            continue
        with making.contained(f"listener {callee.listener}"):
            found[callee.listener] = packed(_listener(making, callee, address), callee.listener)
    return found


WIDER = "Give the Envoy a wider network to listen in: `export envoy --listen 127.128.0.0/9`."


class OwnAddresses:
    """Where the Envoy of a node listens: places in its network, each made of the names of caller and callee."""

    def __init__(self, node: Node) -> None:
        network = node.network
        self._caller = node.stands_for[0] if node.stands_for else node.id
        self._room = max(network.num_addresses - 2, 1)  # without the network's own address, and that of broadcasts
        self._first = int(network.network_address) + (network.num_addresses > 2)

    def of(self, host: str) -> str:
        """The address for calls to a host."""
        number = int.from_bytes(blake2s(f"{self._caller}\n{host}".encode(), digest_size=8).digest())
        return ".".join(map(str, (self._first + number % self._room).to_bytes(4)))


def _listener(making: Making, callee: Callee, address: str) -> Any:
    made = protos.message(LISTENER)()
    made.name = callee.listener
    made.traffic_direction = 2  # OUTBOUND
    made.address.socket_address.address = address
    made.address.socket_address.port_value = callee.port
    fill(making, made, callee)
    return made


def fill(making: Making, listener: Any, callee: Callee) -> None:
    """Give a listener the chains of the one callee that it stands for."""
    web = callee.protocol is Protocol.GRPC_WEB
    if web or callee.protocol is Protocol.HTTP:
        listener.filter_chains.append(http_chain(making, callee.listener, grpc_web=web))
        return
    chains = list(connection_chains(making, callee))
    kinds = set()
    if callee.protocol is Protocol.AUTO:
        http = http_chain(making, callee.listener)
        http.filter_chain_match.application_protocols.extend(APPLICATION_PROTOCOLS)
        listener.filter_chains.append(http)
        kinds.add("http")
    for match, chain in chains:
        if "prefix_ranges" in match:
            making.cannot("`destinationSubnets`, where connections are not redirected", callee.listener)
            continue
        if match:
            chain.filter_chain_match.CopyFrom(protos.parse(CHAIN_MATCH, match))
            listener.filter_chains.append(chain)
            kinds.add("tls")
        else:
            listener.default_filter_chain.CopyFrom(chain)
    inspect(listener, kinds)


def inspect(listener: Any, kinds: set[str]) -> None:
    """Have a listener look at what its clients say first."""
    for kind in sorted(kinds, reverse=True):  # TLS first: what is encrypted is no HTTP to be seen
        listener.listener_filters.append(inspector(kind))
    if kinds:
        listener.listener_filters_timeout.seconds = INSPECTION
        listener.continue_on_listener_filters_timeout = True
