"""What a DestinationRule says of a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from composemesh.model.origin import Origin
from composemesh.model.policy import (
    Balance,
    Balancer,
    ConnectionLimits,
    ConsistentHash,
    DestinationPolicy,
    H2Upgrade,
    HashKey,
    KeepAlive,
    OutlierDetection,
    Subset,
    TrafficPolicy,
)
from composemesh.model.route import Destination, HttpRule, VirtualHost, WeightedDestination
from composemesh.model.snapshot import Protocol, ServiceSettings
from composemesh.xds.resources import CLUSTER, Generated, Node, generate
from unit.xds.meshes import SHOP, snapshot, told

NODE = Node("sidecar~productpage")
GRPC = Node("sidecar~productpage", user_agent="gRPC Python")
LIMITS = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
ORIGIN = Origin("DestinationRule", "reviews", "mesh.yaml", 3)


def made(policy: TrafficPolicy, node: Node = NODE, **said: Any) -> Generated:
    rule = DestinationPolicy("reviews", policy, origin=ORIGIN)
    return generate(snapshot(policies={"reviews": rule}, **said), SHOP, node)


def cluster(policy: TrafficPolicy, node: Node = NODE, **said: Any) -> dict[str, Any]:
    return told(made(policy, node, **said), CLUSTER, "outbound|9080||reviews")


def test_nothing_said_is_no_limit() -> None:
    found = cluster(TrafficPolicy())
    (limits,) = found["circuit_breakers"]["thresholds"]
    assert {limits[name] for name in LIMITS} == {2**32 - 1}
    assert "outlier_detection" not in found
    assert found["common_lb_config"]["healthy_panic_threshold"] == {}  # 0: nobody is ever sent to the ejected
    assert found["connect_timeout"] == "10s"
    assert "lb_policy" in found  # Envoy's own default is ROUND_ROBIN, ours is not
    assert "use_downstream_protocol_config" in found["typed_extension_protocol_options"][OPTIONS]


def test_limits() -> None:
    limits = ConnectionLimits(
        max_connections=1,
        max_pending_requests=2,
        max_requests=3,
        max_retries=4,
        connect_timeout=0.5,
        keep_alive=KeepAlive(3, 60.0, 5.0),
        max_requests_per_connection=5,
        idle_timeout=6.0,
        max_connection_duration=7.0,
        h2_upgrade=H2Upgrade.ALWAYS,
        max_concurrent_streams=8,
    )
    found = cluster(TrafficPolicy(connections=limits))
    (breakers,) = found["circuit_breakers"]["thresholds"]
    assert [breakers[name] for name in LIMITS] == [1, 2, 3, 4]
    probes = found["upstream_connection_options"]["tcp_keepalive"]
    assert probes == {"keepalive_probes": 3, "keepalive_time": 60, "keepalive_interval": 5}
    options = found["typed_extension_protocol_options"][OPTIONS]
    assert options["explicit_http_config"]["http2_protocol_options"]["max_concurrent_streams"] == 8
    assert options["common_http_protocol_options"] == {
        "idle_timeout": "6s",
        "max_requests_per_connection": 5,
        "max_connection_duration": "7s",
    }


def test_outliers() -> None:
    said = OutlierDetection(0, 2, 4, True, 1.0, 400.0, 50, 20)
    found = cluster(TrafficPolicy(outliers=said))
    detection = found["outlier_detection"]
    assert detection["enforcing_consecutive_5xx"] == 0
    assert (detection["consecutive_gateway_failure"], detection["enforcing_consecutive_gateway_failure"]) == (2, 100)
    assert detection["consecutive_local_origin_failure"] == 4
    assert detection["max_ejection_time"] == "400s"
    assert detection["always_eject_one_host"] is True
    assert detection["enforcing_success_rate"] == 0
    assert found["common_lb_config"]["healthy_panic_threshold"] == {"value": 20.0}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Balancer.LEAST_REQUEST, "LEAST_REQUEST"),
        (Balancer.RANDOM, "RANDOM"),
        (Balancer.CONSISTENT_HASH, "RING_HASH"),
    ],
)
def test_balancers(kind: Balancer, said: str) -> None:
    hashed = ConsistentHash(HashKey.HEADER, "x", minimum_ring_size=512)
    found = cluster(TrafficPolicy(Balance(kind, hashed if kind is Balancer.CONSISTENT_HASH else None)))
    assert found["lb_policy"] == said
    assert found.get("ring_hash_lb_config", {}) == (
        {"minimum_ring_size": "512"} if kind is Balancer.CONSISTENT_HASH else {}
    )


def test_calls_in_grpc_web_become_grpc() -> None:
    services = {
        **snapshot().services,
        "reviews-v1": ServiceSettings("reviews", "v1", ports={9080: Protocol.GRPC_WEB}),
    }
    options = cluster(TrafficPolicy(), services=services)["typed_extension_protocol_options"][OPTIONS]
    assert options["explicit_http_config"] == {"http2_protocol_options": {}}


def test_what_proxyless_clients_would_silently_leave_out_is_told() -> None:
    policy = TrafficPolicy(
        Balance(Balancer.RANDOM), ConnectionLimits(max_connections=1), OutlierDetection(), proxy_protocol=1
    )
    said = made(policy, GRPC)
    assert [each.message.partition(" of ")[2] for each in said.problems] == [
        "the balancer random.",
        "limits of connections.",
        "outlier detection by errors in a row.",
        "the PROXY protocol.",
    ]
    assert {(each.resource, each.file, each.line) for each in said.problems} == {
        ("DestinationRule reviews", "mesh.yaml", 3)
    }
    assert made(TrafficPolicy(connections=ConnectionLimits(max_requests=3)), GRPC).problems == ()


def test_arms_that_are_hashed_differently_are_told() -> None:
    def hashed(header: str) -> Subset:
        balance = Balance(Balancer.CONSISTENT_HASH, ConsistentHash(HashKey.HEADER, header))
        return Subset({"version": header}, TrafficPolicy(balance))

    rule = DestinationPolicy("reviews", subsets={"v1": hashed("v1"), "v2": hashed("v2")})
    arms = tuple(WeightedDestination(Destination("reviews", each), 50) for each in ("v1", "v2"))
    hosts = (VirtualHost(("reviews",), http=(HttpRule((), arms),)),)
    said = generate(snapshot(policies={"reviews": rule}, virtual_hosts=hosts), SHOP, NODE)
    assert ["hashed differently" in each.message for each in said.problems] == [True]
