"""`load_balancer`, `connections` and `outlier_detection` → how a service is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from composemesh.config.loaders.said import Settings
from composemesh.model.policy import (
    Balance,
    Balancer,
    ConnectionLimits,
    ConsistentHash,
    DestinationPolicy,
    OutlierDetection,
    Subset,
    TrafficPolicy,
)
from composemesh.model.route import HttpRule


def policy_of(service: str, said: Settings, rules: Iterable[HttpRule]) -> DestinationPolicy | None:
    """How the service is called; its versions that rules name are subsets by themselves."""
    policy = TrafficPolicy(
        balance=_balance(_value(said, "load_balancer")),
        connections=_connections(_value(said, "connections")),
        outliers=_outliers(_value(said, "outlier_detection")),
    )
    targets = [arm.destination for rule in rules for arm in rule.destinations]
    targets += [mirror.destination for rule in rules for mirror in rule.mirrors]
    versions = {target.subset: Subset({"version": target.subset}) for target in targets if target.subset}
    if policy == TrafficPolicy() and not versions:
        return None
    return DestinationPolicy(service, policy, subsets=versions)


def _balance(said: Mapping[str, Any] | None) -> Balance | None:
    if said is None:
        return None
    if "hash" not in said:
        return Balance(said["simple"])
    key, name = said["hash"]
    return Balance(Balancer.CONSISTENT_HASH, ConsistentHash(key, name, cookie_ttl=said.get("cookie_ttl")))


def _connections(said: Mapping[str, Any] | None) -> ConnectionLimits | None:
    if said is None:
        return None
    default = ConnectionLimits()
    return ConnectionLimits(
        max_connections=said.get("max", 0),
        connect_timeout=said.get("connect_timeout", default.connect_timeout),
        max_connection_duration=said.get("max_duration", 0.0),
        tcp_idle_timeout=said.get("idle_timeout", default.tcp_idle_timeout),
        max_pending_requests=said.get("pending", 0),
        max_requests=said.get("requests", 0),
        max_requests_per_connection=said.get("requests_per_connection", 0),
        max_retries=said.get("retries", 0),
        idle_timeout=said.get("idle_timeout", default.idle_timeout),
        h2_upgrade=said.get("http2", default.h2_upgrade),
    )


def _outliers(said: Mapping[str, Any] | None) -> OutlierDetection | None:
    if said is None:
        return None
    default = OutlierDetection()
    return OutlierDetection(
        consecutive_5xx=said.get("consecutive_5xx", default.consecutive_5xx),
        consecutive_gateway_errors=said.get("consecutive_gateway_errors", default.consecutive_gateway_errors),
        interval=said.get("interval", default.interval),
        base_ejection_time=said.get("ejection", default.base_ejection_time),
        max_ejection_percent=said.get("max_percent", default.max_ejection_percent),
    )


def _value(said: Settings, word: str) -> Any:
    entry = said.get((word,))
    return None if entry is None else entry.value
