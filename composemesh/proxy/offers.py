"""What is offered on one port of the host: servers of gateways, and which of them a name means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from composemesh.model.flag import Flag
from composemesh.model.gateway import Gateway, Server
from composemesh.model.peer import UNKNOWN
from composemesh.proxy.cluster import Cluster, Spoken
from composemesh.proxy.edge import Edge, without_port
from composemesh.proxy.refuse import Refused
from composemesh.routing.hosts import matches

if TYPE_CHECKING:
    from composemesh.identity.issuer import Contexts
    from composemesh.proxy.plan import Plan


class Offer(NamedTuple):
    """One server, with its gateway."""

    gateway: Gateway
    server: Server
    contexts: Contexts | None
    """What TLS begins with, where it ends here."""
    https_port: int
    """Where whoever comes in clear is sent; 0 where nobody is."""


def meant(offers: Iterable[Offer], host: str) -> Offer | None:
    """The offer that names `host` in the most specific way: by name, by the longest pattern, by `*`."""
    best: Offer | None = None
    rank = (False, 0)
    for offer in offers:
        for pattern in offer.server.hosts:
            if matches(pattern, host) and (pattern == host, len(pattern)) > rank:
                best, rank = offer, (pattern == host, len(pattern))
    return best


def host_of(authority: bytes) -> str:
    """The host that a request names, as configuration writes it."""
    return without_port(authority).decode("latin-1").lower().rstrip(".")


def edge_of(offers: Sequence[Offer], scheme: bytes) -> Edge:
    """How requests of a connection are treated that may mean any of these."""

    def https_port(authority: bytes) -> int:
        offer = meant(offers, host_of(authority))
        return offer.https_port if offer is not None else 0

    trusted = min(offer.gateway.trusted_proxies for offer in offers)
    redirects = any(offer.https_port for offer in offers)
    return Edge(scheme, trusted, https_port if redirects else None)


class Ways(Cluster):
    """Where a connection leads: for each request, to where the server leads that its host means."""

    __slots__ = ("_elsewhere", "_offers", "_plan")

    def __init__(self, plan: Plan, offers: Sequence[Offer], elsewhere: Sequence[Offer] = ()) -> None:
        """`elsewhere`: what else is to be had at the same port, by another connection."""
        super().__init__("unknown", (), Spoken())
        self.unreached = UNKNOWN
        self._plan = plan
        self._offers = offers
        self._elsewhere = elsewhere

    def named(self, authority: bytes) -> Cluster:
        offer = self._offers[0]
        if len(self._offers) > 1 or self._elsewhere:
            host = host_of(authority)
            found = meant(self._offers, host)
            if found is None and meant(self._elsewhere, host) is not None:
                return self
            offer = found or offer  # who is nobody's has no rules there either
        return self._plan.gateway(offer.gateway.name, offer.server.hosts)

    def nobody(self) -> Refused:
        """Browsers use a connection for every host that its certificate is good for. This tells them to ask again on
        another one (RFC 9110, 15.5.20)."""
        return Refused(Flag.NO_ROUTE_FOUND, "another server of this port has this host", 421)
