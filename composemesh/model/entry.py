"""Hosts that no container of the project stands for: ServiceEntry and WorkloadEntry as values."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from composemesh.model.origin import NOWHERE, Origin


class Location(enum.StrEnum):
    """Istio's `location`."""

    EXTERNAL = "external"
    INTERNAL = "internal"


class Resolution(enum.StrEnum):
    """How the addresses of a host are found (Istio's `resolution`)."""

    NONE = "none"
    """The caller has resolved it: its connection goes where it was going."""
    STATIC = "static"
    DNS = "dns"
    DNS_ROUND_ROBIN = "dns_round_robin"
    """The first address of each resolution only."""


@dataclass(frozen=True, slots=True)
class EntryPort:
    """A port of a ServiceEntry."""

    number: int
    protocol: str
    """`http`, `http2`, `grpc`, `https`, `tls` or `tcp`, in lowercase; empty where the first bytes are to tell."""
    name: str = ""
    target: int = 0
    """The port to dial; 0 for `number`."""


@dataclass(frozen=True, slots=True)
class EntryEndpoint:
    """Where an entry's host really is (WorkloadEntry)."""

    address: str
    """An IP address, or a name to resolve."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """By the port's name: what to dial instead."""
    labels: Mapping[str, str] = field(default_factory=dict)
    weight: int = 1


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """Hosts outside the project that it may call, or that the mesh alone knows."""

    hosts: tuple[str, ...]
    """`*.x` is a pattern."""
    ports: tuple[EntryPort, ...] = ()
    addresses: tuple[str, ...] = ()
    """Virtual addresses or networks that mean these hosts."""
    location: Location = Location.EXTERNAL
    resolution: Resolution = Resolution.NONE
    endpoints: tuple[EntryEndpoint, ...] = ()
    """Empty: the hosts themselves, resolved."""
    workload_selector: Mapping[str, str] = field(default_factory=dict)
    """Labels of workloads of the project that stand for these hosts; empty for none."""
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True)
class Scope:
    """What the sidecars of some workloads may reach (Istio's Sidecar)."""

    selector: Mapping[str, str] = field(default_factory=dict)
    """Labels of the workloads; empty for all."""
    egress: tuple[tuple[int, tuple[str, ...]], ...] = ()
    """Port (0 for any) and hosts, patterns allowed; no entry at all for everything."""
    registry_only: bool | None = None
    """Instead of the mesh's `egress`; None to leave it at that."""
    origin: Origin = NOWHERE
