"""Who asks: what a client says of itself in its first request, and what we read in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any

ORIGINAL_DST = "original_dst"
OWN_ADDRESSES = "127.128.0.0/9"
"""Where a client on this host listens that does not say otherwise: eight million addresses that nobody else uses."""


@dataclass(frozen=True)
class Node:
    """An xDS client (envoy.config.core.v3.Node). Nothing that it says is proven."""

    id: str
    """`sidecar~WORKLOAD`, or any text that is the name of a workload or of a service."""
    cluster: str = ""
    user_agent: str = ""
    """`envoy`, or one of gRPC's names."""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stands_for(self) -> tuple[str, ...]:
        """Names of the workload that it calls others for, the surest first."""
        said = (self.metadata.get("WORKLOAD"), self.id.removeprefix("sidecar~").partition("~")[0], self.cluster)
        return tuple(name for name in said if isinstance(name, str) and name)

    @property
    def proxyless(self) -> bool:
        """Whether it is an application that calls by itself, and no proxy (Istio's `GENERATOR: grpc`)."""
        return self.metadata.get("GENERATOR") == "grpc" or self.user_agent.lower().startswith("grpc")

    @property
    def redirected(self) -> bool:
        """Whether somebody redirects its caller's connections to it."""
        return self.metadata.get("LISTEN") == ORIGINAL_DST

    @property
    def listen(self) -> str:
        """Where its caller finds it: `original_dst`, or a network."""
        return ORIGINAL_DST if self.redirected else str(self.network)

    @property
    def network(self) -> IPv4Network:
        """Where it has an address of its own for each callee."""
        said = self.metadata.get("LISTEN")
        try:
            return IPv4Network(said if isinstance(said, str) else OWN_ADDRESSES)
        except ValueError:
            return IPv4Network(OWN_ADDRESSES)
