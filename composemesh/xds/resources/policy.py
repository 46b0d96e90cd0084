"""What a DestinationRule says of calls to a cluster: balancing, limits, outliers, in Envoy's fields.

Ours is Istio's reading, where 0 is no limit; Envoy's own defaults (1,024 connections, 3 retries) are lifted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from composemesh.model.policy import Balance, Balancer, ConnectionLimits, H2Upgrade, HashKey, OutlierDetection
from composemesh.xds import protos
from composemesh.xds.resources.resource import pack
from composemesh.xds.resources.units import put_seconds

if TYPE_CHECKING:
    from composemesh.model.policy import TrafficPolicy

NO_LIMIT = 2**32 - 1
LONGEST_EJECTION = 300.0
"""Seconds, unless the base alone is longer (Envoy's default, and ours)."""
LARGEST_RING = 8 * 1024 * 1024
BALANCERS: dict[str, str] = {
    Balancer.LEAST_REQUEST: "LEAST_REQUEST",
    Balancer.ROUND_ROBIN: "ROUND_ROBIN",
    Balancer.RANDOM: "RANDOM",
    Balancer.PASSTHROUGH: "CLUSTER_PROVIDED",
    Balancer.CONSISTENT_HASH: "RING_HASH",
}
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def unspoken(policy: TrafficPolicy) -> Iterator[str]:
    """What of a policy gRPC takes without a word, and does not do."""
    balance, limits, outliers = policy.balance, policy.connections, policy.outliers
    if balance is not None and balance.kind in (Balancer.LEAST_REQUEST, Balancer.RANDOM):
        yield f"the balancer {balance.kind}"
    if balance is not None and balance.hash is not None and balance.hash.key is not HashKey.HEADER:
        yield "a consistent hash of anything but a header"
    if limits is not None and replace(limits, max_requests=0) != ConnectionLimits():
        yield "limits of connections"
    if outliers is not None:
        yield "outlier detection by errors in a row"
    if policy.proxy_protocol:
        yield "the PROXY protocol"


def apply(cluster: Any, policy: TrafficPolicy, *, proxyless: bool, http2: bool = False) -> None:
    """Write a policy into a cluster. `http2`: whether nothing else is spoken there, whatever the policy says."""
    limits = policy.connections or ConnectionLimits()
    put_seconds(cluster.connect_timeout, limits.connect_timeout)
    _balance(cluster, policy.balance or Balance(), proxyless)
    _breakers(cluster, limits)
    if policy.outliers is not None:
        _outliers(cluster, policy.outliers)
    if not proxyless:
        cluster.common_lb_config.healthy_panic_threshold.value = (
            policy.outliers.min_health_percent if policy.outliers is not None else 0
        )
        pack(cluster.typed_extension_protocol_options[HTTP_OPTIONS], _http_options(limits, http2))
        if limits.keep_alive is not None:
            probes = cluster.upstream_connection_options.tcp_keepalive
            for field, value in (
                (probes.keepalive_probes, limits.keep_alive.probes),
                (probes.keepalive_time, round(limits.keep_alive.time)),
                (probes.keepalive_interval, round(limits.keep_alive.interval)),
            ):
                if value:
                    field.value = value
        if policy.proxy_protocol:
            _introduce(cluster, policy.proxy_protocol)


def _balance(cluster: Any, balance: Balance, proxyless: bool) -> None:
    kind = balance.kind
    if proxyless and kind in (Balancer.LEAST_REQUEST, Balancer.RANDOM, Balancer.PASSTHROUGH):
        kind = Balancer.ROUND_ROBIN  # grpc-js refuses the first, and all of them the others
    cluster.lb_policy = cluster.LbPolicy.Value(BALANCERS.get(kind, BALANCERS[Balancer.LEAST_REQUEST]))
    if kind is Balancer.CONSISTENT_HASH and balance.hash is not None:
        ring = cluster.ring_hash_lb_config
        ring.minimum_ring_size.value = min(max(balance.hash.minimum_ring_size, 1), LARGEST_RING)


def _breakers(cluster: Any, limits: ConnectionLimits) -> None:
    made = cluster.circuit_breakers.thresholds.add()
    made.max_connections.value = limits.max_connections or NO_LIMIT
    made.max_pending_requests.value = limits.max_pending_requests or NO_LIMIT
    made.max_requests.value = limits.max_requests or NO_LIMIT
    made.max_retries.value = limits.max_retries or NO_LIMIT
    made.track_remaining = True


def _outliers(cluster: Any, said: OutlierDetection) -> None:
    made = cluster.outlier_detection
    put_seconds(made.interval, said.interval)
    put_seconds(made.base_ejection_time, said.base_ejection_time)
    put_seconds(made.max_ejection_time, max(said.base_ejection_time, LONGEST_EJECTION))
    made.max_ejection_percent.value = said.max_ejection_percent
    made.always_eject_one_host.value = True
    made.enforcing_success_rate.value = 0  # nobody asked to be compared with the others
    for detector, count in (
        ("consecutive_5xx", said.consecutive_5xx),
        ("consecutive_gateway_failure", said.consecutive_gateway_errors),
        ("consecutive_local_origin_failure", said.consecutive_local_origin_failures),
    ):
        if count:
            getattr(made, detector).value = count
        getattr(made, f"enforcing_{detector}").value = 100 if count else 0
    made.split_external_local_origin_errors = said.split_external_local_origin_errors
    made.enforcing_local_origin_success_rate.value = 0


def _http_options(limits: ConnectionLimits, http2: bool) -> Any:
    made = protos.message(HTTP_OPTIONS)()
    if http2 or limits.h2_upgrade is H2Upgrade.ALWAYS:
        h2 = made.explicit_http_config.http2_protocol_options
    elif limits.h2_upgrade is H2Upgrade.NEVER:
        h2 = None
        made.explicit_http_config.http_protocol_options.SetInParent()
    else:
        made.use_downstream_protocol_config.http_protocol_options.SetInParent()
        h2 = made.use_downstream_protocol_config.http2_protocol_options
    if h2 is not None:
        h2.SetInParent()
        if limits.max_concurrent_streams:
            h2.max_concurrent_streams.value = limits.max_concurrent_streams
    common = made.common_http_protocol_options
    put_seconds(common.idle_timeout, limits.idle_timeout)
    if limits.max_requests_per_connection:
        common.max_requests_per_connection.value = limits.max_requests_per_connection
    if limits.max_connection_duration:
        put_seconds(common.max_connection_duration, limits.max_connection_duration)
    return made


def _introduce(cluster: Any, version: int) -> None:
    transport = protos.parse(
        "envoy.config.core.v3.TransportSocket",
        {
            "name": "envoy.transport_sockets.upstream_proxy_protocol",
            "typed_config": {
                "@type": protos.TYPE_URL
                + "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
                "config": {"version": f"V{version}"},
                "transport_socket": {
                    "name": "envoy.transport_sockets.raw_buffer",
                    "typed_config": {
                        "@type": protos.TYPE_URL + "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"
                    },
                },
            },
        },
    )
    cluster.transport_socket.CopyFrom(transport)
