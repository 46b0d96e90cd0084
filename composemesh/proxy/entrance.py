"""One port of the host by which strangers come in, and a connection there: who is meant, and on to the mesh.

An entrance is a sidecar that stands before no workload: it accepts, drains and is looked after like any other, and
its gateway is the caller. What differs is how a connection finds its way: by the name it asks for, in TLS and HTTP.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from composemesh.model.flag import Flag
from composemesh.model.gateway import ServerProtocol
from composemesh.model.peer import UNKNOWN
from composemesh.model.record import Record
from composemesh.proxy.codec.parts import Malformed
from composemesh.proxy.connection import Connection
from composemesh.proxy.detect import Detected, detect
from composemesh.proxy.downstream.h1 import HEAD_TIMEOUT, Http1Downstream
from composemesh.proxy.downstream.h2 import Http2Connection
from composemesh.proxy.edge import described
from composemesh.proxy.first_words import server_name
from composemesh.proxy.listener import Sidecar
from composemesh.proxy.offers import Offer, Ways, edge_of, meant
from composemesh.proxy.tls import HANDSHAKE_TIMEOUT, HandshakeFailed, TlsWire

if TYPE_CHECKING:
    from composemesh.model.peer import Peer
    from composemesh.proxy.cluster import Cluster
    from composemesh.proxy.edge import Edge
    from composemesh.proxy.plan import Plan
    from composemesh.proxy.planner import Planner
    from composemesh.proxy.reactor import Reactor
    from composemesh.proxy.rules import Led
    from composemesh.runtime.captured import Address
    from composemesh.telemetry.hub import Hub

HANDSHAKE: Final = b"\x16"
"""The first byte of every TLS connection (RFC 8446, 5.1), and of no other protocol that is served here."""


class Entrance(Sidecar):
    """The listening socket of one port, and everybody who came in by it."""

    def __init__(
        self, listener: socket.socket, offers: Sequence[Offer], planner: Planner, hub: Hub, reactor: Reactor
    ) -> None:
        endpoint = planner.gateways[offers[0].gateway.name]
        assert endpoint.captured is not None, "a gateway stands in the host's own namespace"
        super().__init__(replace(endpoint.captured, outbound=(listener,)), endpoint, planner, hub, reactor)
        self.port: int = listener.getsockname()[1]
        self.offers = tuple(offers)
        """Replaced when the configuration changes; a connection keeps what it has met."""

    def __repr__(self) -> str:
        return f"<Entrance {self.port} connections={len(self.connections)}>"

    def meet(self, sock: socket.socket, destination: Address, inbound: bool) -> Connection:
        return Visit(self, sock, destination)

    def unreached(self, destination: Address, inbound: bool) -> Peer:
        return UNKNOWN  # the host that would have told was never heard


class Visit(Connection):
    """A connection that came in by an entrance."""

    __slots__ = ("_elsewhere", "_offers", "_plan", "_ways")

    def __init__(self, entrance: Entrance, sock: socket.socket, destination: Address) -> None:
        super().__init__(entrance, sock, destination, inbound=False)
        self._offers = entrance.offers
        """Those that may still be meant."""
        self._elsewhere: Sequence[Offer] = ()
        """Those that the name in TLS has ruled out."""
        self._plan: Plan | None = None
        self._ways: Ways | None = None

    def cluster(self) -> Cluster:
        plan = self.sidecar.planner.plan
        if self._ways is None or plan is not self._plan:
            self._plan = plan
            self._ways = Ways(plan, self._offers, self._elsewhere)
        return self._ways

    async def _run(self) -> None:
        first = b""
        # Before it is known which of them is meant: one who asks for an introduction asks it of the port.
        if any(offer.server.introduced for offer in self._offers):
            try:
                first = await self._be_introduced()
            except Malformed:
                self._turn_away(Flag.DOWNSTREAM_PROTOCOL_ERROR)
                return
        if self._offers[0].server.protocol is ServerProtocol.TCP:
            await self._pass(self._offers[0], "", first)
            return
        self.idle()
        first = first or await self.wire.receive()
        self.deadline = math.inf
        encrypted = tuple(offer for offer in self._offers if offer.server.encrypted)
        if not first:
            return
        if encrypted and (first.startswith(HANDSHAKE) or len(encrypted) == len(self._offers)):
            await self._secure(encrypted, first)
        else:
            self._mean([offer for offer in self._offers if not offer.server.encrypted], b"http")
            await self._speak(first)

    async def _secure(self, offers: Sequence[Offer], first: bytes) -> None:
        """Find out whose certificate is wanted, and go on in TLS with that server."""
        try:
            # Before anybody answers: the name decides about the certificate, and also whether clients need one, or
            # whether nothing is decrypted at all. OpenSSL could change the first in a handshake, not the rest.
            self.sni, first = await server_name(self.wire, first, HANDSHAKE_TIMEOUT)
            name, offer = self.sni, meant(offers, self.sni)
            if offer is None:
                self._turn_away(Flag.NO_ROUTE_FOUND)
            elif offer.contexts is None:
                await self._pass(offer, name, first, tls=True)
            elif (context := offer.contexts.of(name)) is None:
                self._turn_away(Flag.NO_ROUTE_FOUND)  # its certificate is missing, as a Problem says
            else:
                self._elsewhere = [other for other in offers if other is not offer]
                self.wire = wire = TlsWire(self.wire, context, server=True, first=first)
                await wire.handshake(HANDSHAKE_TIMEOUT)
                await self._speak_securely(wire, offer, name)
        except HandshakeFailed:
            self._tell(Flag.DOWNSTREAM_PROTOCOL_ERROR)

    async def _speak_securely(self, wire: TlsWire, offer: Offer, name: str) -> None:
        if not offer.server.speaks_http:
            await self._pass(offer, name, b"")
            return
        edge = self._mean([offer], b"https")
        der = wire.session.getpeercert(binary_form=True)
        if der is not None:
            edge.certificate = described(der, wire.session.getpeercert() or {})
        self.idle()
        if wire.alpn == "h2":
            await Http2Connection(self).run(b"")
        elif wire.alpn:
            await Http1Downstream(self).run(b"")
        elif first := await wire.receive():
            await self._speak(first)

    def _mean(self, offers: Sequence[Offer], scheme: bytes) -> Edge:
        """From here on the client can only mean these."""
        self._offers, self._ways = tuple(offers), None
        caller = self.sidecar.planner.gateways.get(offers[0].gateway.name)
        self.source = self.source if caller is None else caller.peer
        self.edge = edge = edge_of(offers, scheme)
        return edge

    async def _speak(self, first: bytes) -> None:
        """Serve requests, in the protocol that these first bytes are of."""
        self.deadline = time.monotonic() + HEAD_TIMEOUT
        while (kind := detect(first)) is Detected.MORE:
            data = await self.wire.receive()
            if not data:
                return
            first += data
        if kind is Detected.HTTP2:
            await Http2Connection(self).run(first)
        else:
            await Http1Downstream(self).run(first)  # whatever it is: what isn't HTTP is refused there, and recorded

    async def _pass(self, offer: Offer, name: str, first: bytes, *, tls: bool = False) -> None:
        """Pass on what cannot be looked into; `tls`: by the rules for what is still encrypted."""
        self._mean([offer], b"http")
        self.led = self._lead(offer, name, tls)
        if self.led is None:
            self._turn_away(Flag.NO_ROUTE_FOUND)
        else:
            await self._pass_on(await self._reach(self.cluster()), first)

    def _lead(self, offer: Offer, name: str, tls: bool) -> Led | None:
        """Where rules lead a connection. Whoever names no server may mean any that is served here."""
        rules = self.sidecar.planner.plan.gateway(offer.gateway.name, offer.server.hosts).rules
        if rules is None:
            return None
        for host in [name] if name else offer.server.hosts:
            led = rules.lead(self.destination, self.port, sni=name, tls=tls, host=host)
            if led is not None:
                return led
        return None

    def _turn_away(self, flag: Flag) -> None:
        self._tell(flag)
        self.wire.reset()

    def _tell(self, flag: Flag) -> None:
        """The one record of a connection that came to nothing."""
        record = Record(self.source, UNKNOWN, "tcp")
        record.start = time.time()
        record.flag = flag
        self.hub.tell(record)
