"""How a service is called: balancing, limits, retries, outliers. A DestinationRule as values."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from composemesh.model.origin import NOWHERE, Origin

# === trying again ===

RETRY_ON = frozenset({"connect-failure", "refused-stream", "unavailable", "cancelled"})
"""Istio's default conditions."""


@dataclass(frozen=True, slots=True)
class Retry:
    """When a request is sent again (HTTPRetry). Never once a byte of the answer has gone to the caller."""

    attempts: int = 2
    """Tries after the first; 0 for none."""
    per_try_timeout: float = 0.0
    """Seconds; 0 for the route's timeout."""
    on: frozenset[str] = RETRY_ON
    """Envoy's words for HTTP and gRPC (x-envoy-retry-on, x-envoy-retry-grpc-on)."""
    statuses: frozenset[int] = frozenset()
    """Response codes that `retryOn` lists as numbers."""
    back_off: float = 0.025
    """Seconds. The n-th retry waits a random time below (2ⁿ - 1) of these, but below ten at most, as Envoy's."""
    ignore_previous_hosts: bool = True
    """Whether endpoints that have failed this request are passed over."""


# === picking an endpoint ===


class Balancer(enum.StrEnum):
    """Istio's `loadBalancer.simple`, and hashing."""

    LEAST_REQUEST = "least_request"
    ROUND_ROBIN = "round_robin"
    RANDOM = "random"
    PASSTHROUGH = "passthrough"
    """To the address that the caller asked for."""
    CONSISTENT_HASH = "consistent_hash"


class HashKey(enum.StrEnum):
    """What a consistent hash is made of (ConsistentHashLB)."""

    HEADER = "header"
    COOKIE = "cookie"
    SOURCE_IP = "source_ip"
    QUERY = "query"


@dataclass(frozen=True, slots=True)
class ConsistentHash:
    """The same key goes to the same endpoint for as long as it is there."""

    key: HashKey
    name: str = ""
    """Of the header, the cookie or the query parameter."""
    cookie_path: str = ""
    cookie_ttl: float | None = None
    """Seconds; None: no cookie is made for callers that have none. 0: a session cookie."""
    minimum_ring_size: int = 1024


@dataclass(frozen=True, slots=True)
class Balance:
    """Which endpoint gets the next request."""

    kind: Balancer | str = Balancer.LEAST_REQUEST
    """One of our own, or the name of a plugin's."""
    hash: ConsistentHash | None = None


# === limits ===


class H2Upgrade(enum.StrEnum):
    """What is spoken to the upstream (h2UpgradePolicy, useClientProtocol)."""

    AS_CLIENT = "as-client"
    NEVER = "never"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """TCP's own probes of an idle connection; 0 for the kernel's defaults."""

    probes: int = 0
    time: float = 0.0
    interval: float = 0.0


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Istio's connectionPool. 0 is no limit; durations are in seconds."""

    max_connections: int = 0
    connect_timeout: float = 10.0
    keep_alive: KeepAlive | None = None
    max_connection_duration: float = 0.0
    tcp_idle_timeout: float = 3600.0
    max_pending_requests: int = 0
    """Requests that wait for a connection (http1MaxPendingRequests)."""
    max_requests: int = 0
    """Requests at a time (http2MaxRequests)."""
    max_requests_per_connection: int = 0
    max_retries: int = 0
    """Retries at a time; 0 for no limit."""
    idle_timeout: float = 3600.0
    h2_upgrade: H2Upgrade = H2Upgrade.AS_CLIENT
    max_concurrent_streams: int = 0


@dataclass(frozen=True, slots=True)
class OutlierDetection:
    """When an endpoint is left out for a while (Istio's outlierDetection)."""

    consecutive_5xx: int = 5
    """Answers of class 5xx, and connections that failed or broke; 0 for never."""
    consecutive_gateway_errors: int = 0
    """502, 503, 504, and connections that failed or broke; 0 for never."""
    consecutive_local_origin_failures: int = 0
    """Failures that the upstream did not answer with a status at all, where they are told apart (`split`)."""
    split_external_local_origin_errors: bool = False
    interval: float = 10.0
    base_ejection_time: float = 30.0
    """Multiplied by how often the endpoint was ejected."""
    max_ejection_percent: int = 10
    """At least one endpoint may always be ejected."""
    min_health_percent: int = 0
    """Below this share of healthy endpoints, ejections are ignored."""


@dataclass(frozen=True, slots=True)
class TrafficPolicy:
    """Everything said of calls to a service, a port or a subset. None: as the level above has it."""

    balance: Balance | None = None
    connections: ConnectionLimits | None = None
    outliers: OutlierDetection | None = None
    proxy_protocol: int = 0
    """1 or 2: the PROXY protocol's header is sent first; 0: it isn't."""


@dataclass(frozen=True, slots=True)
class Subset:
    """A named part of a service's endpoints."""

    labels: Mapping[str, str] = field(default_factory=dict)
    """All must match the workload's; `version` is the workload's version."""
    policy: TrafficPolicy = field(default_factory=TrafficPolicy)
    ports: Mapping[int, TrafficPolicy] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DestinationPolicy:
    """All that is said of calls to one host (DestinationRule)."""

    host: str
    policy: TrafficPolicy = field(default_factory=TrafficPolicy)
    ports: Mapping[int, TrafficPolicy] = field(default_factory=dict)
    """Instead of `policy`, not on top of it: Istio's port level inherits nothing."""
    subsets: Mapping[str, Subset] = field(default_factory=dict)
    origin: Origin = NOWHERE

    @property
    def says_policy(self) -> bool:
        """Whether anything is said of the host as a whole, or of a port, besides its subsets."""
        return self.policy != TrafficPolicy() or bool(self.ports)

    def at(self, port: int, subset: str = "") -> TrafficPolicy:
        """What holds at a port, for a subset or, where empty, for all: the one answer to that question.

        A level replaces whole fields of the one below it. A port's own settings inherit nothing from their level,
        though a subset lies on top of its service's port (Istio's MergeSubsetTrafficPolicy).
        """
        policy = self.ports.get(port, self.policy)
        part = self.subsets.get(subset)
        if part is None:
            return policy
        if port in part.ports:
            return part.ports[port]
        said = {each.name: value for each in fields(part.policy) if (value := getattr(part.policy, each.name))}
        return replace(policy, **said)
