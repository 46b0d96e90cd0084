"""Gateways come and go with the configuration: ports of the host are opened, kept and closed accordingly.

What is on a port may change while it is open; connections keep what they have met, and only a port that nobody wants
any more is closed, when what came in by it has ended. A port that cannot be had is a Problem, and is tried again.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import structlog
import trio

from composemesh.model.gateway import Gateway, Server, ServerProtocol, TlsSettings
from composemesh.model.problem import Problem, Severity
from composemesh.proxy.entrance import Entrance
from composemesh.proxy.offers import Offer
from composemesh.routing.hosts import matches
from composemesh.runtime.latest import Latest
from composemesh.runtime.ports import listen_at

if TYPE_CHECKING:
    from composemesh.identity.issuer import Contexts
    from composemesh.proxy.planner import Planner
    from composemesh.proxy.reactor import Reactor
    from composemesh.runtime.captured import Address
    from composemesh.telemetry.hub import Hub

log = structlog.get_logger()

RETRY = 1.0
"""Seconds between attempts to open a port that was taken."""
HTTPS_PORT = 443

Certify = Callable[[Server], "Contexts"]
"""What a server begins TLS with. Raises an exception that says why there is nothing."""


def uncertified(server: Server) -> Contexts:
    """For a fleet that was given no authority, nor leave to read files."""
    raise LookupError("this mesh has no certificates")


_Key = tuple[TlsSettings, tuple[str, ...], bool]
"""All that the contexts of a server depend on."""


class Gateways:
    """Every entrance of the project."""

    def __init__(
        self,
        planner: Planner,
        hub: Hub,
        reactor: Reactor,
        certify: Certify,
        opened: Callable[[Entrance], None],
        closed: Callable[[Entrance], None],
    ) -> None:
        """`opened` is to run an entrance, `closed` to drain one."""
        self.problems: Latest[tuple[Problem, ...]] = Latest(())
        """What is wrong at this moment: ports that are taken, certificates that cannot be served."""
        self.entrances: dict[Address, Entrance] = {}
        self.following: Mapping[str, Gateway] = {}
        """What is open by now, or could not be opened."""
        self._planner, self._hub, self._reactor = planner, hub, reactor
        self._certify = certify
        self._opened, self._closed = opened, closed
        self._wanted: dict[Address, tuple[Offer, ...]] = {}
        self._contexts: dict[_Key, Contexts] = {}
        self._uncertified: list[Problem] = []
        self._unopened: dict[Address, Problem] = {}

    def __repr__(self) -> str:
        return f"<Gateways {sorted(port for _, port in self.entrances)}>"

    def follow(self, gateways: Mapping[str, Gateway]) -> None:
        """Have open what these want, and nothing else. The planner knows them already."""
        self._uncertified = []
        known, self._contexts = self._contexts, {}
        wanted: dict[Address, list[Offer]] = {}
        for gateway in gateways.values():
            for server in gateway.servers:
                https_port = _https_port(gateway, server, gateways.values())
                offer = Offer(gateway, server, self._contexts_of(server, known), https_port)
                wanted.setdefault((server.bind, server.port), []).append(offer)
        self._wanted = {address: tuple(offers) for address, offers in wanted.items()}
        for address in [address for address in self.entrances if address not in self._wanted]:
            entrance = self.entrances.pop(address)
            entrance.close_listeners()  # now: what is wanted instead may need the port
            self._closed(entrance)
        for address, offers in self._wanted.items():
            if address in self.entrances:
                self.entrances[address].offers = offers
        self._unopened = {address: said for address, said in self._unopened.items() if address in self._wanted}
        self._open()
        self.following = gateways

    async def run(self) -> None:
        """Try again what could not be opened, and keep `problems` true, until cancelled."""
        while True:
            await trio.sleep(RETRY)
            self._open()

    def _open(self) -> None:
        for address, offers in self._wanted.items():
            if address not in self.entrances:
                try:
                    listener = listen(*address)
                except OSError as problem:
                    self._could_not(address, offers[0], problem)
                    continue
                self._unopened.pop(address, None)
                entrance = Entrance(listener, offers, self._planner, self._hub, self._reactor)
                self.entrances[address] = entrance
                self._opened(entrance)
        certificates = [problem for contexts in self._contexts.values() for problem in contexts.problems]
        self.problems.publish((*self._unopened.values(), *self._uncertified, *certificates))

    def _could_not(self, address: Address, offer: Offer, problem: OSError) -> None:
        host, port = address
        said = _unopened(host, port, offer, problem)
        if self._unopened.get(address) != said:
            log.warning("gateway cannot listen", gateway=offer.gateway.name, port=port, problem=problem.strerror)
        self._unopened[address] = said

    def _contexts_of(self, server: Server, known: Mapping[_Key, Contexts]) -> Contexts | None:
        """The contexts of a server that ends TLS; those it has had, where nothing about them has changed."""
        if server.tls is None or not server.terminates:
            return None
        key = (server.tls, server.hosts, server.speaks_http)
        contexts = self._contexts.get(key) or known.get(key)
        if contexts is None:
            try:
                contexts = self._certify(server)
            except Exception as problem:  # whatever keeps one server from its certificate is no other's trouble
                self._uncertified.append(_without(server, problem))
                return Without()
        self._contexts[key] = contexts
        return contexts


class Without:
    """The contexts of a server that has no certificate: its clients are turned away."""

    problems: Sequence[Problem] = ()

    def of(self, name: str) -> None:
        """None."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket of the host, not blocking; for no `host` one for all addresses. Raises OSError."""
    if not host:
        try:
            return listen_at("::", port)
        except OSError as problem:
            if problem.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
        host = "0.0.0.0"  # a host without IPv6
    return listen_at(host, port)


def _https_port(gateway: Gateway, server: Server, all_of_them: Iterable[Gateway]) -> int:
    """Where a server that redirects sends its clients: to the port where its hosts are served by HTTPS, by the same
    gateway rather than by another. 0 where it does not redirect."""
    if server.encrypted or server.tls is None or not server.tls.https_redirect:
        return 0
    for each in (gateway, *all_of_them):
        for other in each.servers:
            if other.protocol is ServerProtocol.HTTPS and _overlap(server.hosts, other.hosts):
                return other.port
    return HTTPS_PORT


def _overlap(some: Sequence[str], others: Sequence[str]) -> bool:
    return any(matches(one, other) or matches(other, one) for one in some for other in others)


def _unopened(host: str, port: int, offer: Offer, problem: OSError) -> Problem:
    hint = {
        errno.EADDRINUSE: f"Something else listens there (`ss -ltnp sport = :{port}` names it): stop it, or choose "
        "another port. It is tried again every second.",
        errno.EACCES: "Ports below 1024 are for root, or for whoever has CAP_NET_BIND_SERVICE: choose a higher one.",
        errno.EADDRNOTAVAIL: f"This host has no address {host}: name one that it has, or none for all.",
    }.get(problem.errno or 0, "It is tried again every second.")
    why = os.strerror(problem.errno) if problem.errno else str(problem)
    message = f"Gateway {offer.gateway.name} cannot listen on port {port} ({why})."
    return _problem("port-unavailable", message, hint, offer.server)


def _without(server: Server, problem: Exception) -> Problem:
    message = f"Port {server.port} has no certificate: {problem}"
    return _problem("no-certificate", message, "Until there is one, TLS clients are turned away.", server)


def _problem(code: str, message: str, hint: str, server: Server) -> Problem:
    origin = server.origin
    return Problem(
        Severity.ERROR, code, message, hint, origin.file, origin.line, resource=f"{origin.kind} {origin.name}".strip()
    )
