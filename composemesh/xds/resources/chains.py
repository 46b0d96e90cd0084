"""What a listener does with a connection: take requests out of it, or pass it on as it is."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from composemesh.model.policy import Balancer, ConnectionLimits, HashKey
from composemesh.xds import protos
from composemesh.xds.resources.callees import connection_rules
from composemesh.xds.resources.filters import CORS, FAULT
from composemesh.xds.resources.resource import pack
from composemesh.xds.resources.units import put_seconds, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from composemesh.routing.resolve import ConnectionCandidate
    from composemesh.xds.resources.callees import Callee
    from composemesh.xds.resources.making import Making

Json = dict[str, Any]

MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
TCP_PROXY = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
APPLICATION_PROTOCOLS = ("http/1.0", "http/1.1", "h2c")
"""What the HTTP inspector calls what it finds."""
INSPECTION = 5
"""Seconds that a listener waits for the first bytes of its client, to find out; then it is TCP (Istio's default)."""
NOWHERE = "BlackHoleCluster"
"""A cluster without endpoints (Istio's name)."""
INSPECTORS = {
    "http": "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
    "tls": "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
}


@cache
def inspector(kind: str) -> Any:
    """A ListenerFilter that looks at the first bytes."""
    made = protos.message("envoy.config.listener.v3.ListenerFilter")()
    made.name = f"envoy.filters.listener.{kind}_inspector"
    pack(made.typed_config, protos.message(INSPECTORS[kind])())
    return made


# === requests ===


def http_chain(making: Making, routes: str, *, grpc_web: bool = False) -> Any:
    """A FilterChain that takes requests, and asks RDS for `routes`."""
    idle = making.view.snapshot.mesh.listeners.idle_timeout
    manager = protos.message(MANAGER)()
    manager.CopyFrom(_manager(idle, grpc_web))
    manager.stat_prefix = f"outbound_{routes}".replace(":", "_")
    manager.rds.route_config_name = routes
    return _chain("envoy.filters.network.http_connection_manager", manager)


@cache
def _manager(idle: float, grpc_web: bool) -> Any:
    filters = [
        *([http_filter("envoy.filters.http.grpc_web", "grpc_web.v3.GrpcWeb")] if grpc_web else []),
        http_filter(CORS, "cors.v3.Cors"),
        http_filter(FAULT, "fault.v3.HTTPFault"),
        http_filter("envoy.filters.http.router", "router.v3.Router"),
    ]
    return protos.parse(
        MANAGER,
        {
            "rds": {"config_source": {"ads": {}, "resource_api_version": "V3"}, "route_config_name": "-"},
            "http_filters": filters,
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            "http_protocol_options": {"accept_http_10": True},
            "common_http_protocol_options": {"idle_timeout": seconds(idle)},
            "stream_idle_timeout": "0s",  # only what rules say ends a request
            "server_header_transformation": "PASS_THROUGH",
            "use_remote_address": False,
        },
    )


def http_filter(name: str, message: str) -> Json:
    """One HTTP filter, as it is without configuration."""
    return {"name": name, "typed_config": {"@type": f"{protos.TYPE_URL}envoy.extensions.filters.http.{message}"}}


# === connections ===


def connection_chains(making: Making, callee: Callee) -> Iterator[tuple[Json, Any]]:
    """FilterChains of what is no HTTP, each with the server names and networks that it is for, or `{}` for all."""
    view = making.view
    for candidate in connection_rules(view, callee, tls=True):
        match: Json = {"transport_protocol": "tls"}
        if candidate.match.sni_hosts and "*" not in candidate.match.sni_hosts:
            match["server_names"] = [name.lower() for name in candidate.match.sni_hosts]
        yield match | _networks(candidate), _ruled(making, candidate, callee)
    for candidate in connection_rules(view, callee, tls=False):
        yield _networks(candidate), _ruled(making, candidate, callee)
        if not candidate.match.destination_subnets:
            return
    if callee.place is not None:
        yield {}, tcp_chain(making, callee.listener, [(making.want(callee.place), 1)])


def tcp_chain(making: Making, name: str, arms: list[tuple[str, int]]) -> Any:
    """A FilterChain that passes connections on to one of some clusters, by weight."""
    proxy = protos.message(TCP_PROXY)()
    proxy.stat_prefix = f"outbound_{name}".replace(":", "_")
    if len(arms) < 2:
        proxy.cluster = arms[0][0] if arms else NOWHERE
    else:
        for cluster, weight in arms:
            arm = proxy.weighted_clusters.clusters.add()
            arm.name, arm.weight = cluster, weight
    place = making.places.get(arms[0][0]) if arms else None
    policy = None if place is None else making.policy(place)
    limits = (policy.connections if policy is not None else None) or ConnectionLimits()
    put_seconds(proxy.idle_timeout, limits.tcp_idle_timeout)
    balance = policy.balance if policy is not None else None
    hashed = balance.hash if balance is not None and balance.kind is Balancer.CONSISTENT_HASH else None
    if hashed is not None and hashed.key is HashKey.SOURCE_IP:
        proxy.hash_policy.add().source_ip.SetInParent()
    return _chain("envoy.filters.network.tcp_proxy", proxy)


def _ruled(making: Making, candidate: ConnectionCandidate, callee: Callee) -> Any:
    destinations = candidate.rule.destinations
    alone = len(destinations) == 1
    arms = [
        (making.lead(arm.destination, callee.port), arm.weight or 1) for arm in destinations if arm.weight or alone
    ]
    return tcp_chain(making, callee.listener, arms)


def _networks(candidate: ConnectionCandidate) -> Json:
    ranges = [subnet.partition("/") for subnet in candidate.match.destination_subnets]
    if not ranges:
        return {}
    return {
        "prefix_ranges": [
            {"address_prefix": address, "prefix_len": int(length or (128 if ":" in address else 32))}
            for address, _, length in ranges
        ]
    }


def _chain(name: str, config: Any) -> Any:
    made = protos.message("envoy.config.listener.v3.FilterChain")()
    filter_ = made.filters.add()
    filter_.name = name
    pack(filter_.typed_config, config)
    return made
