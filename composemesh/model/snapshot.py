"""What was configured: the compiled mesh, immutable and whole. Nothing in it depends on what runs."""

from __future__ import annotations

import enum
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from composemesh.model.entry import Scope, ServiceEntry
from composemesh.model.filter import FilterUse
from composemesh.model.gateway import Gateway
from composemesh.model.listener import ListenerLimits
from composemesh.model.mdns import Mdns, Publication
from composemesh.model.policy import DestinationPolicy
from composemesh.model.route import VirtualHost
from composemesh.model.workload import Workload


class Protocol(enum.StrEnum):
    """What a port speaks. `auto` is found out by who speaks first, and what."""

    AUTO = "auto"
    HTTP = "http"
    GRPC_WEB = "grpc-web"
    """HTTP, and calls in gRPC-Web are turned into gRPC, which is all that the application speaks."""
    TCP = "tcp"


class CaptureMode(enum.StrEnum):
    """How traffic reaches the mesh."""

    AUTO = "auto"
    NETNS = "netns"
    LOOPBACK = "loopback"
    NONE = "none"


class AccessLog(enum.StrEnum):
    OFF = "off"
    TEXT = "text"
    JSON = "json"


class Egress(enum.StrEnum):
    """Whether services may call hosts that nobody declared (Istio's outboundTrafficPolicy)."""

    ALLOW = "allow"
    REGISTRY_ONLY = "registry_only"


@dataclass(frozen=True, slots=True)
class Exclude:
    """Traffic that capture leaves alone, in both directions."""

    ports: tuple[int, ...] = ()
    """TCP ports of the destination."""
    cidrs: tuple[str, ...] = ()
    """Networks of the other side, IPv4 or IPv6, as `ipaddress` prints them."""

    def __or__(self, other: Exclude) -> Exclude:
        return Exclude(tuple(sorted({*self.ports, *other.ports})), tuple(sorted({*self.cidrs, *other.cidrs})))


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What is known of one Compose service; every field has the value an absent `x-mesh` gives."""

    service: str
    version: str = ""
    meshed: bool = True
    ports: Mapping[int, Protocol] = field(default_factory=dict)
    exclude: Exclude = field(default_factory=Exclude)
    proxy_protocol: bool = False
    """Whether whoever calls from outside the mesh is a proxy that says in the PROXY protocol whom it speaks for."""


@dataclass(frozen=True, slots=True)
class MeshSettings:
    """The top-level `x-mesh`."""

    capture: CaptureMode = CaptureMode.AUTO
    exclude: Exclude = field(default_factory=Exclude)
    admin_host: str = "127.0.0.1"
    admin_port: int = 15000
    sinks: Mapping[str, Any] = field(default_factory=dict)
    """Who is told of every exchange, by name; the value is what the sink is made of."""
    sources: Mapping[str, Any] = field(default_factory=dict)
    """Who looks for workloads besides those of the project, the same way."""
    egress: Egress = Egress.ALLOW
    listeners: ListenerLimits = field(default_factory=ListenerLimits)
    mdns: Mdns = field(default_factory=Mdns)
    xds_host: str = "127.0.0.1"
    xds_port: int = 15010
    """0 where the configuration is served to nobody."""
    filters: tuple[FilterUse, ...] = ()
    """What every request goes through, before any rule."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The mesh as configured. Equal snapshots mean that nothing changed."""

    project: str
    mesh: MeshSettings = field(default_factory=MeshSettings)
    services: Mapping[str, ServiceSettings] = field(default_factory=dict)
    """By Compose service. A service that no document mentions is absent: ask `settings_of`."""
    names: frozenset[str] = frozenset()
    """Every name that the Compose files give a service, whether or not a container of it runs."""
    virtual_hosts: tuple[VirtualHost, ...] = ()
    """In the order in which they were written; of two that name a host, the first one's rules come first."""
    policies: Mapping[str, DestinationPolicy] = field(default_factory=dict)
    """By canonical host."""
    entries: tuple[ServiceEntry, ...] = ()
    scopes: tuple[Scope, ...] = ()
    gateways: Mapping[str, Gateway] = field(default_factory=dict)
    """By name."""
    publications: tuple[Publication, ...] = ()
    """Services that are announced, each by a gateway of its own."""
    filters: Mapping[str, tuple[FilterUse, ...]] = field(default_factory=dict)
    """By service: what each request goes through that is sent to it."""

    def settings_of(self, workload: Workload) -> ServiceSettings:
        """The settings of the workload's Compose service, with the service and version inferred where unsaid."""
        said = self.services.get(workload.compose_service)
        if said is not None and said.service and said.version:
            return said
        service, version = infer_service(workload)
        if said is None:
            return ServiceSettings(service, version)
        if said.service and said.service != service:
            service, version = said.service, version_of(workload)
        return replace(said, service=said.service or service, version=said.version or version)


_VERSIONED = re.compile(r"(?P<service>.+?)[-_](?P<version>v\d+[\w.]*)")


def infer_service(workload: Workload) -> tuple[str, str]:
    """Service and version of a workload that no `x-mesh` speaks of.

    `reviews-v2` is version v2 of `reviews` where callers can already reach it by that name, that is, where it
    carries the network alias `reviews`; else a Compose service is a service, as its callers see it.
    """
    aliases = {alias for place in workload.attachments for alias in place.aliases}
    return version_by_name(workload.compose_service, aliases) or (workload.compose_service, version_of(workload))


def version_by_name(compose_service: str, aliases: Container[str]) -> tuple[str, str] | None:
    """The service and the version that a Compose service's name says it is, where an alias agrees."""
    named = _VERSIONED.fullmatch(compose_service)
    return (named["service"], named["version"]) if named is not None and named["service"] in aliases else None


def version_of(workload: Workload) -> str:
    """The `version` label (Istio's canonical revision), or the `-vN` of the Compose service's name, or ``latest``."""
    label = workload.labels.get("app.kubernetes.io/version") or workload.labels.get("version")
    if label:
        return label
    named = _VERSIONED.fullmatch(workload.compose_service)
    return named["version"] if named is not None else "latest"
