"""What the mesh looks for on the local network, and what it announces there (RFC 6762, RFC 6763)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mdns:
    """`x-mesh.discovery.mdns`."""

    browse: tuple[str, ...] = ()
    """Service types without their domain, e.g. `_http._tcp`."""
    interfaces: tuple[str, ...] = ()
    """Names or IP addresses of interfaces; empty for the one of the default route."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A service that others may find, and the gateway by which they come in."""

    service: str
    type: str
    port: int
    """Of the gateway, on this host."""
    gateway: str
    resource: str = ""
    """How problems with its port name it (`Problem.resource`)."""
