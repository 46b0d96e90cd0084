"""`publish: mdns`: a gateway's port for each service that others are to find, and what is announced of it.

The port follows from the names of project and service: it stays the same from start to start, nobody need choose it,
and whoever listens on the service's own port on this host (Docker, for a published one) is not in the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2s
from ipaddress import ip_address
from typing import Any

from composemesh.config.loaders.said import Place, Said, Settings
from composemesh.config.short.edges import at_gateway
from composemesh.config.short.origin import X_MESH
from composemesh.config.short.routes import rules_of
from composemesh.model.gateway import Gateway, Server, ServerProtocol
from composemesh.model.mdns import Mdns, Publication
from composemesh.model.origin import Origin
from composemesh.model.problem import Problem, Severity, quotable
from composemesh.model.route import ConnectionRule, Destination, HttpRule, VirtualHost, WeightedDestination
from composemesh.model.snapshot import Protocol

FIRST_PORT, PORTS = 20000, 10000
"""Below those that kernels give to clients (32768 and up on Linux)."""
HTTP_TYPE = "_http._tcp"
HTTP_TYPES = frozenset({HTTP_TYPE, "_grpc._tcp"})


def mdns_of(mesh: Settings) -> Mdns:
    """`discovery.mdns`."""
    entry = mesh.get(("discovery",))
    said: Mapping[str, Any] = entry.value.get("mdns", {}) if entry is not None else {}
    return Mdns(said.get("browse", ()), said.get("interfaces", ()))


Published = tuple[Publication, Gateway, VirtualHost]


def published(
    project: str,
    mesh: Settings,
    services: Mapping[str, Settings],
    ports: Mapping[str, Mapping[int, Protocol]],
    problems: list[Problem],
) -> Iterator[Published]:
    """Everything that is published. `ports` are those of the project's own services, by mesh service."""
    everywhere = mesh.get(("publish",))
    for service in sorted({*services, *ports}):
        settings = services.get(service, {})
        entry = settings.get(("publish",)) or everywhere
        if entry is None:
            continue
        known = ports.get(service, {})
        port = entry.value.get("port", 0) or min(known, default=0)
        if not port:
            if service in ports and entry is not everywhere:
                problems.append(_portless(service, entry))
            continue
        if everywhere is not entry and "type" not in entry.value and known.get(port) is Protocol.TCP:
            problems.append(_untyped(service, port, entry))
        elif "type" in entry.value or known.get(port) is not Protocol.TCP:
            yield _published(project, service, port, entry, rules_of(service, settings), mdns_of(mesh).interfaces)


def _published(
    project: str, service: str, port: int, entry: Said, rules: Sequence[HttpRule], interfaces: Sequence[str]
) -> Published:
    kind = entry.value.get("type", HTTP_TYPE)
    number = int.from_bytes(blake2s(f"{project}/{service}".encode(), digest_size=4).digest())
    at = FIRST_PORT + number % PORTS
    origin = Origin(X_MESH, f"publish of service {service}", entry.place.file, entry.place.line)
    http = kind in HTTP_TYPES
    speaks = ServerProtocol.HTTP if http else ServerProtocol.TCP
    name = f"mdns-{service}"
    servers = tuple(Server(at, speaks, bind=bind, name=name, origin=origin) for bind in _binds(interfaces))
    there = (WeightedDestination(Destination(service, port=port)),)
    bare = HttpRule(destinations=there, name=service, origin=origin)
    rules = tuple(at_gateway(rule, None, port, None) for rule in rules or (bare,))
    host = VirtualHost(
        ("*",),
        (name,),
        rules if http else (),
        tcp=() if http else (ConnectionRule((), there, origin),),
        origin=origin,
    )
    publication = Publication(service, kind, at, name, f"{origin.kind} {origin.name}")
    return publication, Gateway(name, servers, origin=origin), host


def _binds(interfaces: Sequence[str]) -> Sequence[str]:
    """The addresses to listen on: those of the interfaces where they were said, else all."""
    try:
        return [str(ip_address(each)) for each in interfaces] or [""]
    except ValueError:
        return [""]


def _portless(service: str, entry: Said) -> Problem:
    place: Place = entry.place
    message = f"{entry.subject}: `publish` names no port, and nobody said which port the service has."
    hint = "Write `publish: {by: mdns, port: …}`, or declare `ports`."
    what = f"service {quotable(service)}"
    return Problem(Severity.WARNING, "which-port", message, hint, place.file, place.line, place.column, what)


def _untyped(service: str, port: int, entry: Said) -> Problem:
    place: Place = entry.place
    what = f"service {quotable(service)}"
    message = f"{entry.subject}: `publish` says no type, and port {port} speaks TCP."
    hint = "Write the type that clients look for: `publish: {by: mdns, type: _mysql._tcp}`."
    return Problem(Severity.ERROR, "which-type", message, hint, place.file, place.line, place.column, what)
