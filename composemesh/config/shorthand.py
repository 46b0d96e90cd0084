"""The short forms of `x-mesh` → the same model that Istio's documents compile to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from composemesh.config.loaders.said import Place, Said, Settings
from composemesh.config.yaml import quotable
from composemesh.model.entry import EntryEndpoint, EntryPort, Location, Resolution, ServiceEntry
from composemesh.model.gateway import Gateway, Server, ServerProtocol, TlsMode, TlsSettings
from composemesh.model.origin import Origin
from composemesh.model.policy import (
    Balance,
    Balancer,
    ConnectionLimits,
    ConsistentHash,
    DestinationPolicy,
    OutlierDetection,
    Retry,
    Subset,
    TrafficPolicy,
)
from composemesh.model.problem import Problem, Severity
from composemesh.model.route import (
    Abort,
    Delay,
    Destination,
    DirectResponse,
    Fault,
    HeaderChange,
    Headers,
    HttpMatch,
    HttpRule,
    MatchKind,
    Mirror,
    Redirect,
    Rewrite,
    StringMatch,
    VirtualHost,
    WeightedDestination,
)

X_MESH = "x-mesh"
OF_A_SERVICE = frozenset(
    {"ports", "routes", "timeout", "retries", "load_balancer", "connections", "outlier_detection", "expose"}
)
"""Words that belong to the mesh service, however many Compose services stand for it: one of them is enough."""


@dataclass(frozen=True, slots=True)
class Short:
    """What the short forms say, as parts of a Snapshot."""

    virtual_hosts: tuple[VirtualHost, ...] = ()
    policies: Mapping[str, DestinationPolicy] = field(default_factory=dict)
    gateways: Mapping[str, Gateway] = field(default_factory=dict)
    entries: tuple[ServiceEntry, ...] = ()
    problems: tuple[Problem, ...] = ()


def compile_short(mesh: Settings, services: Mapping[str, Settings], ports: Mapping[str, Sequence[int]]) -> Short:
    """`services` by mesh service; `ports` are those that a service is known to have."""
    hosts: list[VirtualHost] = []
    policies: dict[str, DestinationPolicy] = {}
    problems: list[Problem] = []
    gateways = dict(_gateways(mesh))
    for name, said in services.items():
        rules = _rules(name, said)
        if rules:
            hosts.append(VirtualHost((name,), http=rules, origin=rules[0].origin))
        policy = _policy(name, said, rules)
        if policy is not None:
            policies[name] = policy
        exposed = said.get(("expose",))
        if exposed is not None:
            hosts += _exposed(name, exposed, rules, gateways, ports.get(name, ()), problems)
    return Short(tuple(hosts), policies, gateways, tuple(_externals(mesh)), tuple(problems))


# === routes ===


def _rules(service: str, said: Settings) -> tuple[HttpRule, ...]:
    """The service's rules. What no route speaks of goes as if there were none."""
    written = sorted((path[1], entry) for path, entry in said.items() if path[0] == "routes" and len(path) == 2)
    timeout, retry = said.get(("timeout",)), said.get(("retries",))
    default = HttpRule(
        destinations=(WeightedDestination(Destination(service)),),
        name=service,
        timeout=timeout.value if timeout else None,
        retry=_retry(retry.value) if retry else None,
        origin=_origin(service, next((entry for entry in (timeout, retry) if entry), None)),
    )
    rules = [_rule(service, index, entry, default) for index, entry in written]
    if (rules and rules[-1].matches) or (not rules and (timeout or retry)):
        rules.append(default)
    return tuple(rules)


def _rule(service: str, index: Any, entry: Said, default: HttpRule) -> HttpRule:
    route, origin = entry.value, _origin(service, entry)
    answered = "redirect" in route or "respond" in route
    return HttpRule(
        matches=tuple(match for said in route.get("match", ()) for match in _matches(said, origin)),
        destinations=() if answered else _destinations(service, route),
        name=route.get("name", f"{service}-{index}"),
        redirect=_redirect(route.get("redirect")),
        direct_response=_respond(route.get("respond")),
        rewrite=_rewrite(route.get("rewrite")),
        headers=_headers(route.get("headers")),
        timeout=route.get("timeout", default.timeout),
        retry=_retry(route["retries"]) if "retries" in route else default.retry,
        fault=_fault(route.get("fault")),
        mirrors=tuple(
            Mirror(_target(service, said["to"]), said.get("percent", 100.0)) for said in route.get("mirror", ())
        ),
        origin=origin,
    )


def _matches(said: Mapping[str, Any], origin: Origin) -> Iterator[HttpMatch]:
    """One entry of `match`: several methods or callers are several matches, of which one is enough."""
    for method in said.get("method", (None,)):
        for caller in said.get("from", (None,)):
            yield HttpMatch(
                uri=said.get("path"),
                method=StringMatch(MatchKind.EXACT, method) if method else None,
                authority=said.get("host"),
                headers={name.lower(): match for name, match in said.get("headers", {}).items()},
                without_headers={name.lower(): match for name, match in said.get("not_headers", {}).items()},
                query_params=dict(said.get("query", {})),
                port=said.get("port", 0),
                source_labels={"app": caller} if caller else {},
                origin=origin,
            )


def _destinations(service: str, route: Mapping[str, Any]) -> tuple[WeightedDestination, ...]:
    if "split" in route:
        return tuple(
            WeightedDestination(Destination(service, version), weight) for version, weight in route["split"].items()
        )
    return (WeightedDestination(_target(service, route.get("to", {}))),)


def _target(service: str, said: Mapping[str, Any]) -> Destination:
    return Destination(said.get("service", service), said.get("version", ""), said.get("port", 0))


def _retry(said: Mapping[str, Any]) -> Retry:
    default = Retry()
    statuses = frozenset(said.get("statuses", ()))
    on = frozenset(said["on"]) if "on" in said else frozenset() if statuses else default.on
    return Retry(
        attempts=said.get("attempts", default.attempts),
        per_try_timeout=said.get("per_try_timeout", 0.0),
        on=on | ({"retriable-status-codes"} if statuses else frozenset()),
        statuses=statuses,
        back_off=said.get("back_off", default.back_off),
    )


def _fault(said: Mapping[str, Any] | None) -> Fault | None:
    if said is None:
        return None
    percent = said.get("percent", 100.0)
    return Fault(
        Delay(said["delay"], percent) if "delay" in said else None,
        Abort(percent, said["abort"]) if "abort" in said else None,
    )


def _rewrite(said: Mapping[str, Any] | None) -> Rewrite | None:
    if said is None:
        return None
    return Rewrite(said.get("path"), said.get("host", ""), said.get("regex", ""), said.get("substitution", ""))


def _redirect(said: Mapping[str, Any] | None) -> Redirect | None:
    if said is None:
        return None
    return Redirect(
        uri=said.get("path"),
        authority=said.get("host", ""),
        scheme=said.get("scheme", ""),
        port=said.get("port", 0),
        code=said.get("status", 301),
    )


def _respond(said: Mapping[str, Any] | None) -> DirectResponse | None:
    return None if said is None else DirectResponse(said.get("status", 200), said.get("body", "").encode())


def _headers(said: Mapping[str, Any] | None) -> Headers:
    said = said or {}
    return Headers(_change(said.get("request", {})), _change(said.get("response", {})))


def _change(said: Mapping[str, Any]) -> HeaderChange:
    def pairs(verb: str) -> tuple[tuple[str, str], ...]:
        return tuple((name.lower(), value) for name, value in said.get(verb, {}).items())

    return HeaderChange(pairs("set"), pairs("add"), tuple(name.lower() for name in said.get("remove", ())))


# === policies ===


def _policy(service: str, said: Settings, rules: Iterable[HttpRule]) -> DestinationPolicy | None:
    """How the service is called; its versions that rules name are subsets by themselves."""
    policy = TrafficPolicy(
        balance=_balance(_value(said, "load_balancer")),
        connections=_connections(_value(said, "connections")),
        outliers=_outliers(_value(said, "outlier_detection")),
    )
    targets = [arm.destination for rule in rules for arm in rule.destinations]
    targets += [mirror.destination for rule in rules for mirror in rule.mirrors]
    versions = {target.subset: Subset({"version": target.subset}) for target in targets if target.subset}
    if policy == TrafficPolicy() and not versions:
        return None
    return DestinationPolicy(service, policy, subsets=versions)


def _balance(said: Mapping[str, Any] | None) -> Balance | None:
    if said is None:
        return None
    if "hash" not in said:
        return Balance(said["simple"])
    key, name = said["hash"]
    return Balance(Balancer.CONSISTENT_HASH, ConsistentHash(key, name, cookie_ttl=said.get("cookie_ttl")))


def _connections(said: Mapping[str, Any] | None) -> ConnectionLimits | None:
    if said is None:
        return None
    default = ConnectionLimits()
    return ConnectionLimits(
        max_connections=said.get("max", 0),
        connect_timeout=said.get("connect_timeout", default.connect_timeout),
        max_connection_duration=said.get("max_duration", 0.0),
        tcp_idle_timeout=said.get("idle_timeout", default.tcp_idle_timeout),
        max_pending_requests=said.get("pending", 0),
        max_requests=said.get("requests", 0),
        max_requests_per_connection=said.get("requests_per_connection", 0),
        max_retries=said.get("retries", 0),
        idle_timeout=said.get("idle_timeout", default.idle_timeout),
        h2_upgrade=said.get("http2", default.h2_upgrade),
    )


def _outliers(said: Mapping[str, Any] | None) -> OutlierDetection | None:
    if said is None:
        return None
    default = OutlierDetection()
    return OutlierDetection(
        consecutive_5xx=said.get("consecutive_5xx", default.consecutive_5xx),
        consecutive_gateway_errors=said.get("consecutive_gateway_errors", default.consecutive_gateway_errors),
        interval=said.get("interval", default.interval),
        base_ejection_time=said.get("ejection", default.base_ejection_time),
        max_ejection_percent=said.get("max_percent", default.max_ejection_percent),
    )


# === ways in, and hosts outside ===


def _exposed(
    service: str,
    entry: Said,
    rules: Sequence[HttpRule],
    gateways: Mapping[str, Gateway],
    ports: Sequence[int],
    problems: list[Problem],
) -> Iterator[VirtualHost]:
    """The service at a gateway, under the same rules as for its other callers."""
    said, origin = entry.value, _origin(service, entry)
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
        tuple(_at_gateway(rule, path, port, _rewrite(said.get("rewrite"))) for rule in rules or (bare,)),
        origin=origin,
    )


def _at_gateway(rule: HttpRule, path: StringMatch | None, port: int, rewrite: Rewrite | None) -> HttpRule:
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


def _gateways(mesh: Settings) -> Iterator[tuple[str, Gateway]]:
    entry = mesh.get(("gateways",))
    for name, said in entry.value.items() if entry is not None else ():
        assert entry is not None, "there is nothing to go through without it"
        origin = Origin(X_MESH, f"gateway {name}", entry.place.file, entry.place.line)
        bind, port = said["listen"]
        tls = _tls(said.get("tls", {}), entry.place, redirect=said.get("https_redirect", False))
        secure = tls is not None and not tls.https_redirect
        protocol = ServerProtocol.HTTPS if secure else ServerProtocol.HTTP
        server = Server(port, protocol, said.get("hosts", ("*",)), bind, tls, name, origin)
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


def _externals(mesh: Settings) -> Iterator[ServiceEntry]:
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


# === who said it ===


def _value(said: Settings, *path: str) -> Any:
    entry = said.get(path)
    return None if entry is None else entry.value


def _origin(service: str, entry: Said | None) -> Origin:
    place = entry.place if entry is not None else Place()
    return Origin(X_MESH, service, place.file, place.line)


def _problem(code: str, service: str, entry: Said, message: str, hint: str) -> Problem:
    place = entry.place
    what = f"service {quotable(service)}"
    return Problem(
        Severity.ERROR, code, f"{entry.subject}: {message}", hint, place.file, place.line, place.column, what
    )
