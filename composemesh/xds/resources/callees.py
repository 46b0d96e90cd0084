"""Whom a caller may mean, at which port, and by which names: what listeners and virtual hosts are made for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from composemesh.model.route import MESH
from composemesh.model.snapshot import Protocol
from composemesh.routing.hosts import canonical
from composemesh.xds.resources.view import Place

if TYPE_CHECKING:
    from composemesh.routing.resolve import ConnectionCandidate, HttpCandidate
    from composemesh.xds.resources.making import Making
    from composemesh.xds.resources.view import Service, View

_HTTP = frozenset({"http", "http2", "grpc", "grpc-web"})
DEFAULT_PORT = 80
"""Of a host that only rules know, where they name no port."""


class Callee(NamedTuple):
    """A host that a caller may mean, at one port."""

    name: str
    port: int
    protocol: Protocol
    rules: str
    """The host whose rules are met; empty for none."""
    place: Place | None
    """Where it leads without rules; None for nowhere."""
    aliases: tuple[str, ...] = ()
    """Other names that mean the very same."""
    parts: tuple[Callee, ...] = ()
    """Names that mean only some of those who stand for it, or have rules of their own."""

    @property
    def listener(self) -> str:
        """Its name among listeners and route configurations."""
        return f"{self.name}:{self.port}"


def callees(making: Making) -> list[Callee]:
    """All of them: services, declared hosts, and hosts that nothing but rules knows."""
    view = making.view
    found = [
        _of_service(view, service, port, protocol)
        for service in view.services.values()
        for port, protocol in service.ports.items()
    ]
    for service in view.services.values():
        if service.members and not service.ports and not making.redirected:
            hint = "Name them: `expose` in the Compose file, or `ports` in its `x-mesh`."
            making.cannot(f"{service.name}, whose ports nobody names", f"service {service.name}", hint=hint)
    found += [
        Callee(host, port.number, _protocol(port.protocol), host, Place(host, port.number))
        for host, port in view.declarations()
        if host not in view.known
    ]
    taken = {callee.listener for callee in found}
    found += [callee for callee in _of_rules(view) if callee.listener not in taken]
    return [callee for callee in found if view.may_call(callee.name, callee.port)]


def http_rules(view: View, callee: Callee) -> list[HttpCandidate]:
    """The rules that requests of this caller to a callee may meet."""
    rules = view.table.http(callee.rules) if callee.rules else ()
    return [each for each in rules if each.concerns(MESH, callee.port, view.labels)]


def connection_rules(view: View, callee: Callee, *, tls: bool) -> list[ConnectionCandidate]:
    """The same for its connections: `tls` rules, or `tcp` rules."""
    rules = view.table.connections(callee.rules, tls=tls) if callee.rules else ()
    return [each for each in rules if each.concerns(MESH, callee.port, view.labels)]


def _of_service(view: View, service: Service, port: int, protocol: Protocol) -> Callee:
    ruled = bool(view.table.http(service.name))
    aliases, parts = [], []
    for name, meant in service.names.items():
        listed = view.table.names(name)
        if len(meant) < len(service.members) or listed or (ruled and _names_one(name, meant)):
            place = Place(service.name, port, part=name)
            parts.append(Callee(name, port, protocol, name if listed else "", place))
        else:
            aliases.append(name)
    place = Place(service.name, port)
    return Callee(service.name, port, protocol, service.name, place, tuple(aliases), tuple(parts))


def _names_one(name: str, meant: Iterable[object]) -> bool:
    """Whether a name is a Compose service's own, and so means it and not the service that it is a version of."""
    return any(getattr(each, "compose_service", "").lower() == name for each in meant)


def _of_rules(view: View) -> Iterator[Callee]:
    """Hosts, and patterns of them, that nothing stands for: callers ask for them, and rules lead them somewhere."""
    for virtual in view.table.virtual_hosts:
        for host in (canonical(each) for each in virtual.hosts):
            if host == "*" or host in view.known or view.declared(host, 0) is not None:
                continue
            rules = [each for each in view.table.http(host) if MESH in each.gateways]
            asked = {each.match.port for each in rules if each.match.port}
            led = {arm.destination.port for each in rules for arm in each.rule.destinations if arm.destination.port}
            for port in sorted(asked or led or {DEFAULT_PORT} if rules else ()):
                yield Callee(host, port, Protocol.HTTP, host, None)


def _protocol(said: str) -> Protocol:
    if not said:
        return Protocol.AUTO
    return Protocol.HTTP if said in _HTTP else Protocol.TCP
