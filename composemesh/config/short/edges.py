"""`gateways`, `expose` and `external`: ways into the mesh, and hosts outside it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from composemesh.config.loaders.said import Place, Said, Settings
from composemesh.config.short.origin import X_MESH, origin_of
from composemesh.config.short.routes import rewrite_of
from composemesh.model.entry import EntryEndpoint, EntryPort, Location, Resolution, ServiceEntry
from composemesh.model.gateway import Gateway, Server, ServerProtocol, TlsMode, TlsSettings
from composemesh.model.origin import Origin
from composemesh.model.problem import Problem, Severity, quotable
from composemesh.model.route import (
    Destination,
    HttpMatch,
    HttpRule,
    Rewrite,
    StringMatch,
    VirtualHost,
    WeightedDestination,
)


def exposed(
    service: str,
    entry: Said,
    rules: Sequence[HttpRule],
    gateways: Collection[str],
    ports: Sequence[int],
    problems: list[Problem],
) -> Iterator[VirtualHost]:
    """The service at a gateway, under the same rules as for its other callers."""
    said, origin = entry.value, origin_of(service, entry)
    if said["gateway"] not in gateways:
        message = f"`expose` names the gateway {said['gateway']}, and there is none of that name."
        hint = f"Use one of {', '.join(sorted(gateways))}." if gateways else "Add it to `gateways` of the top level."
        problems.append(_problem("unknown-gateway", service, entry, message, hint))
        return
    port = said.get("port", 0) or (ports[0] if len(ports) == 1 else 0)
    if not port:
        known = ", ".join(map(str, ports))
        why = f"the service has the ports {known}" if ports else "nobody said which port the service has"
        problems.append(
            _problem("which-port", service, entry, f"`expose` names no port, and {why}.", "Add `port: …`.")
        )
        return
    path: StringMatch | None = said.get("path")
    bare = HttpRule(destinations=(WeightedDestination(Destination(service)),), name=service, origin=origin)
    yield VirtualHost(
        (said.get("host", "*"),),
        (said["gateway"],),
        tuple(at_gateway(rule, path, port, rewrite_of(said.get("rewrite"))) for rule in rules or (bare,)),
        origin=origin,
    )


def at_gateway(rule: HttpRule, path: StringMatch | None, port: int, rewrite: Rewrite | None) -> HttpRule:
    """A rule of the service as it counts at a gateway: there, nobody has connected to the service's own port."""
    matches = tuple(replace(match, uri=match.uri or path, port=0) for match in rule.matches or (HttpMatch(),))
    arms = tuple(
        replace(arm, destination=replace(arm.destination, port=arm.destination.port or port))
        for arm in rule.destinations
    )
    mirrors = tuple(
        replace(mirror, destination=replace(mirror.destination, port=mirror.destination.port or port))
        for mirror in rule.mirrors
    )
    return replace(rule, matches=matches, destinations=arms, mirrors=mirrors, rewrite=rule.rewrite or rewrite)


def gateways_of(mesh: Settings) -> Iterator[tuple[str, Gateway]]:
    entry = mesh.get(("gateways",))
    for name, said in entry.value.items() if entry is not None else ():
        assert entry is not None, "there is nothing to go through without it"
        origin = Origin(X_MESH, f"gateway {name}", entry.place.file, entry.place.line)
        bind, port = said["listen"]
        tls = _tls(said.get("tls", {}), entry.place, redirect=said.get("https_redirect", False))
        secure = tls is not None and not tls.https_redirect
        protocol = ServerProtocol.HTTPS if secure else ServerProtocol.HTTP
        introduced = said.get("proxy_protocol", False)
        server = Server(port, protocol, said.get("hosts", ("*",)), bind, tls, name, origin, introduced)
        yield name, Gateway(name, (server,), said.get("trusted_proxies", 0), origin)


def _tls(said: Mapping[str, Any], place: Place, *, redirect: bool) -> TlsSettings | None:
    if redirect:
        return TlsSettings(https_redirect=True)
    if "certificate" not in said:
        return TlsSettings() if said.get("mode") == "auto" else None

    def file(word: str) -> str:
        return str((Path(place.file).parent / said[word]).absolute()) if word in said else ""

    certificate = file("certificate")
    mode = TlsMode.MUTUAL if "ca" in said else TlsMode.SIMPLE
    return TlsSettings(mode, certificate, file("key") or certificate, file("ca"))


def externals_of(mesh: Settings) -> Iterator[ServiceEntry]:
    entry = mesh.get(("external",))
    for name, said in entry.value.items() if entry is not None else ():
        assert entry is not None, "there is nothing to go through without it"
        addresses = said.get("addresses", ())
        patterns = any(host.startswith("*") for host in said["hosts"])
        yield ServiceEntry(
            hosts=said["hosts"],
            ports=tuple(EntryPort(port, word, f"{word}-{port}") for port, word in said.get("ports", {}).items()),
            location=Location.EXTERNAL,
            resolution=Resolution.STATIC if addresses else Resolution.NONE if patterns else Resolution.DNS,
            endpoints=tuple(EntryEndpoint(address) for address in addresses),
            origin=Origin(X_MESH, f"external {name}", entry.place.file, entry.place.line),
        )


def _problem(code: str, service: str, entry: Said, message: str, hint: str) -> Problem:
    place = entry.place
    what = f"service {quotable(service)}"
    return Problem(
        Severity.ERROR, code, f"{entry.subject}: {message}", hint, place.file, place.line, place.column, what
    )
