"""LDS of an Envoy that its caller's connections are redirected to: one listener a port, as in Istio.

`virtualOutbound` takes all connections and hands each to the listener of the port where it was going; requests are
told apart by the authority that they name, other connections by the address that they were going to. What nobody
declares goes on to where it was going, or nowhere, as `egress` has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from composemesh.model.snapshot import Protocol
from composemesh.xds import protos
from composemesh.xds.resources.callees import connection_rules
from composemesh.xds.resources.chains import APPLICATION_PROTOCOLS, NOWHERE, connection_chains, http_chain, tcp_chain
from composemesh.xds.resources.clusters import PASSTHROUGH
from composemesh.xds.resources.listeners import CHAIN_MATCH, LISTENER, inspect
from composemesh.xds.resources.resource import packed
from composemesh.xds.resources.routes import shared

if TYPE_CHECKING:
    from composemesh.xds.resources.callees import Callee
    from composemesh.xds.resources.making import Making
    from composemesh.xds.resources.resource import Resource

OUTBOUND = 15001
"""Where connections are redirected to (Istio's port)."""


def generate(making: Making, callees: Iterable[Callee]) -> tuple[dict[str, Resource], dict[str, Resource]]:
    """The listeners, and the route configurations that they ask for."""
    ports: dict[int, list[Callee]] = {}
    for callee in callees:
        ports.setdefault(callee.port, []).append(callee)
    listeners = {"virtualOutbound": packed(_entrance(making), "virtualOutbound")}
    routes = {}
    for port, meant in ports.items():
        name = f"0.0.0.0_{port}"
        with making.contained(f"listener {name}"):
            listeners[name] = packed(_of_port(making, port, meant, name), name)
        routes[str(port)] = shared(making, port, [each for each in meant if _speaks_http(each)], _elsewhere(making))
    return listeners, routes


def _speaks_http(callee: Callee) -> bool:
    return callee.protocol is not Protocol.TCP


def _entrance(making: Making) -> Any:
    """Connections that are made to the entrance itself, and not redirected, would come here for ever: they end."""
    made = _bound("0.0.0.0", OUTBOUND)
    made.name = "virtualOutbound"
    made.use_original_dst.value = True
    trap = tcp_chain(making, "virtualOutbound-trap", [(NOWHERE, 1)])
    trap.name = "virtualOutbound-trap"
    trap.filter_chain_match.destination_port.value = OUTBOUND
    made.filter_chains.append(trap)
    made.default_filter_chain.CopyFrom(_rest(making))
    return made


def _of_port(making: Making, port: int, callees: list[Callee], name: str) -> Any:
    made = _bound("0.0.0.0", port)
    made.name = name
    made.bind_to_port.value = False
    kinds = {"http"}
    taken: set[str] = set()

    def add(match: dict[str, Any], chain: Any) -> None:
        """Envoy refuses two chains that ask for the same; the first has its way."""
        said = {name: value for name, value in match.items() if name != "prefix_ranges"}
        ranges = match.get("prefix_ranges", [None])
        left = [each for each in ranges if f"{said} {each}" not in taken]
        taken.update(f"{said} {each}" for each in left)
        if left:
            if left != [None]:
                said["prefix_ranges"] = left
            chain.filter_chain_match.CopyFrom(protos.parse(CHAIN_MATCH, said))
            made.filter_chains.append(chain)

    for callee in callees:
        for match, chain in _by_address(making, callee):
            if "transport_protocol" in match:
                kinds.add("tls")
            add(match, chain)
    web = any(callee.protocol is Protocol.GRPC_WEB for callee in callees)
    add({"application_protocols": APPLICATION_PROTOCOLS}, http_chain(making, str(port), grpc_web=web))
    made.default_filter_chain.CopyFrom(_rest(making))
    inspect(made, kinds)
    return made


def _by_address(making: Making, callee: Callee) -> Iterable[tuple[dict[str, Any], Any]]:
    """Chains of a callee whose connections are passed on as they are, told by its addresses, or by server names."""
    view = making.view
    ruled = any(connection_rules(view, callee, tls=tls) for tls in (True, False))
    if callee.protocol is not Protocol.TCP and not ruled:
        return
    addresses = view.addresses_of(callee.name)
    ranges = [{"address_prefix": address, "prefix_len": length} for address, length in addresses]
    named = view.declared(callee.name, callee.port) if callee.name not in view.known else None
    if callee.protocol is not Protocol.TCP and ranges:
        http = http_chain(making, str(callee.port), grpc_web=callee.protocol is Protocol.GRPC_WEB)
        yield {"prefix_ranges": ranges, "application_protocols": APPLICATION_PROTOCOLS}, http
    for match, chain in connection_chains(making, callee):
        if ranges:
            yield {"prefix_ranges": ranges, **match}, chain
        elif match:
            yield match, chain
        elif named is not None:
            # Of a host that is known by name alone, only TLS says that it is meant.
            yield {"transport_protocol": "tls", "server_names": [callee.name]}, chain


def _rest(making: Making) -> Any:
    return tcp_chain(making, "elsewhere", [(NOWHERE if making.view.registry_only else PASSTHROUGH, 1)])


def _elsewhere(making: Making) -> dict[str, Any]:
    """The virtual host of requests for anybody else (Istio's names)."""
    if making.view.registry_only:
        answer = {"direct_response": {"status": 502}}
        return {"name": "block_all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **answer}]}
    way = {"route": {"cluster": PASSTHROUGH, "timeout": "0s"}}
    return {"name": "allow_any", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **way}]}


def _bound(address: str, port: int) -> Any:
    made = protos.message(LISTENER)()
    made.traffic_direction = 2  # OUTBOUND
    made.address.socket_address.address = address
    made.address.socket_address.port_value = port
    return made
