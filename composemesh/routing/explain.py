"""Why a request goes where it goes: every rule that was tried, and what came of it. It is `resolve` that decides.

Pure: a snapshot, what runs, and a request in; plain values for JSON out (the admin API's shape `explain`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from composemesh.model.route import MESH, Destination, HttpRule, WeightedDestination
from composemesh.routing.backends import Backends, Json, Notes
from composemesh.routing.hosts import canonical, matches
from composemesh.routing.labels import labels_of
from composemesh.routing.request import Request
from composemesh.routing.resolve import Decision, HttpCandidate, Step, resolve
from composemesh.routing.table import Table
from composemesh.routing.words import actions

if TYPE_CHECKING:
    from composemesh.model.filter import FilterUse
    from composemesh.model.snapshot import Snapshot
    from composemesh.model.workload import Discovered, Workload

DEFAULT_ROUTE = "default"
"""Istio's name of what becomes of a request that no rule speaks of."""
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Question:
    """A request that somebody wonders about."""

    caller: str
    """A service, a Compose service or a container; or a gateway, where `gateway` says so."""
    url: str
    """`http://reviews:9080/reviews/0`; without a scheme it is `http`."""
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    gateway: bool = False


def explain(snapshot: Snapshot, discovered: Discovered, question: Question, table: Table | None = None) -> Json:
    """`{request, decision: {route, rule, backend, endpoints, policies, filters}, steps: [...]}`.

    Raises ValueError for what is no URL. `table` spares compiling the rules again; it must be the snapshot's.
    """
    return _Explanation(snapshot, discovered, question, table or Table(snapshot.virtual_hosts)).answer()


class _Explanation:
    """One question, and what has been found out about it so far."""

    def __init__(self, snapshot: Snapshot, discovered: Discovered, question: Question, table: Table) -> None:
        self._snapshot = snapshot
        self._question = question
        self._table = table
        self._running = [(each, snapshot.settings_of(each)) for each in discovered.workloads if not each.oneoff]
        self._services = {settings.service for _, settings in self._running} | {
            settings.service for settings in snapshot.services.values()
        }
        self._notes = Notes()
        self._caller = self._find_caller()
        self._backends = Backends(snapshot, self._running, self._services, self._caller, self._notes)
        url = question.url if "://" in question.url else f"http://{question.url}"
        self._url = urlsplit(url)

    def answer(self) -> Json:
        request = self._request()
        if self._url.scheme == "https" and not self._question.gateway:
            self._notes.add("tls", "https", False, "nothing within TLS is seen: the rules here are for http in clear")
        host, part = self._meant()
        passed = self._filters("", self._snapshot.mesh.filters)
        decision, rules = self._decide(host, request)
        arms: tuple[WeightedDestination, ...] = ()
        if decision is not None:
            arms = tuple(
                arm for arm in decision.rule.destinations if arm.weight or len(decision.rule.destinations) == 1
            )
        elif not rules and not self._question.gateway:
            arms = (WeightedDestination(Destination(host)),)
        return {
            "request": {
                "caller": self._question.caller,
                "method": self._question.method,
                "url": self._question.url,
                "headers": dict(self._question.headers),
            },
            "decision": self._decision(decision, rules, arms, part, request.port, passed),
            "steps": self._notes.steps,
        }

    # === who asks whom ===

    def _find_caller(self) -> Workload | None:
        if self._question.gateway:
            return None
        name = self._question.caller
        for workload, settings in self._running:
            if name in (workload.name, workload.compose_service, settings.service):
                self._notes.add(
                    "caller", workload.name, True, f"a workload of {settings.service}, {settings.version}"
                )
                return workload
        # Records name whoever is not of the mesh so.
        who = "somebody outside the mesh" if name == "unknown" else "no such workload runs"
        self._notes.add("caller", name, False, f"{who}: its labels are not known")
        return None

    def _request(self) -> Request:
        url, question = self._url, self._question
        values: dict[bytes, bytes] = {}
        for name, value in question.headers.items():
            values[name.lower().encode()] = value.encode()
        authority = values.pop(b"host", url.netloc.rpartition("@")[2].encode())
        labels: Mapping[str, str] = {}
        if self._caller is not None:
            settings = self._snapshot.settings_of(self._caller)
            labels = labels_of(self._caller, settings.service, settings.version)
        elif not question.gateway:
            labels = {"app": question.caller}
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        return Request(
            authority,
            question.method.encode(),
            target.encode(),
            values,
            port=_port(url.netloc) or DEFAULT_PORTS.get(url.scheme, 80),
            scheme=url.scheme.encode(),
            gateway=question.caller if question.gateway else MESH,
            source_labels=labels,
        )

    def _meant(self) -> tuple[str, tuple[Workload, ...]]:
        """The host whose rules are met; and where it names a part of a service, who is that part."""
        said = (self._url.hostname or "").lower()
        host = canonical(said, self._services)
        if host in self._services or self._question.gateway:
            return host, ()
        part = tuple(each for each, _ in self._running if said in _names(each))
        if part:
            service = self._snapshot.settings_of(part[0]).service
            if self._means_all(said, part, service):
                self._notes.add("host", said, True, f"another name of {service}")
                return service, ()
            self._notes.add("host", said, True, f"names a part of {service}: rules of {service} don't apply")
            return said, part
        self._notes.add("host", said, False, "no service of the project: the name itself decides")
        return host, ()

    def _means_all(self, name: str, part: tuple[Workload, ...], service: str) -> bool:
        """Whether it is an alias that everybody of the service has, and no rules are for it alone."""
        everybody = sum(settings.service == service for _, settings in self._running)
        own = {part[0].compose_service, part[0].name, *part[0].addresses}
        return len(part) == everybody and name not in own and not self._table.names(name)

    # === which rule ===

    def _decide(self, host: str, request: Request) -> tuple[Any, tuple[HttpCandidate, ...]]:
        """The decision, if a rule makes it; and the rules that this caller may meet at all."""
        every = self._table.http(host, request.gateway) if self._served(host, request.port) else ()
        concerned = tuple(
            each for each in every if each.concerns(request.gateway, request.port, request.source_labels)
        )
        steps: list[Step] = []
        decision = resolve(every, request, lambda chance: 0.0, steps)
        for step in steps:
            self._notes.add(step.stage, step.candidate, step.matched, step.because, step.origin)
        if decision is None and self._question.gateway:
            self._notes.add("route", host, False, "no rule of the gateway matches: the answer is a 404")
        elif not concerned and not self._question.gateway:
            self._notes.add("route", DEFAULT_ROUTE, True, f"no rule for {host} concerns this caller and port")
        elif decision is None:
            self._notes.add("route", host, False, "there are rules, and none matches: the answer is a 404")
        return decision, every if self._question.gateway else concerned

    def _served(self, host: str, port: int) -> bool:
        """Whether the gateway, if it is one, has a server for the host on that port."""
        if not self._question.gateway:
            return True
        gateway = self._snapshot.gateways.get(self._question.caller)
        servers = [each for each in gateway.servers if each.port == port] if gateway is not None else []
        for server in servers:
            if any(matches(pattern, host) for pattern in server.hosts):
                self._notes.add("gateway", f"port {port}", True, f"serves {', '.join(server.hosts)}", server.origin)
                return True
        why = f"serves no {host} on port {port}" if gateway is not None else "there is no such gateway"
        self._notes.add("gateway", self._question.caller, False, f"{why}: the answer is a 404, or no connection")
        return False

    def _decision(
        self,
        decision: Decision[Any, Any] | None,
        rules: tuple[HttpCandidate, ...],
        arms: tuple[WeightedDestination, ...],
        part: tuple[Workload, ...],
        port: int,
        passed: list[Json],
    ) -> Json:
        rule: HttpRule | None = decision.rule if decision is not None else None
        own = rule is not None and (rule.redirect is not None or rule.direct_response is not None)
        if not own:
            passed = [*passed, *self._filters_of(arms, part)]
        total = sum(arm.weight for arm in arms)
        backends = (
            [] if own else [self._backends.backend(arm, total, part, port, ruled=rule is not None) for arm in arms]
        )
        return {
            "route": self._route(decision, rules),
            "rule": str(decision.candidate.origin) if decision is not None else None,
            "backend": ", ".join(each["backend"] for each in backends) or None,
            "endpoints": [endpoint for each in backends for endpoint in each["endpoints"]],
            "policies": [policy for each in backends for policy in each["policies"]],
            "split": [{"backend": each["backend"], "share": each["share"]} for each in backends],
            "actions": actions(rule) if rule is not None else [],
            "filters": passed,
        }

    # === which filters ===

    def _filters_of(self, arms: Iterable[WeightedDestination], part: tuple[Workload, ...]) -> Iterator[Json]:
        """Those of the services that it may be sent to."""
        hosts = (self._snapshot.settings_of(part[0]).service,) if part else (arm.destination.host for arm in arms)
        for service in dict.fromkeys(hosts):
            yield from self._filters(service, self._snapshot.filters.get(service, ()))

    def _filters(self, service: str, uses: Iterable[FilterUse]) -> list[Json]:
        """The filters of a service, or of the mesh, in the order in which a request goes through them."""
        where = f"of service {service}, before it is sent" if service else "of the mesh, before any rule"
        for use in uses:
            becomes = "requests go on without it" if use.fail_open else "requests are refused"
            because = f"{where}; {use.missing.rstrip('.')}: {becomes}" if use.missing else where
            self._notes.add("filter", use.name, not use.missing, because, use.origin)
        return [
            {
                "name": use.name,
                "service": service or None,
                "fail": "open" if use.fail_open else "closed",
                "file": use.origin.file or None,
                "line": use.origin.line or None,
            }
            for use in uses
        ]

    def _route(self, decision: Decision[Any, Any] | None, rules: tuple[HttpCandidate, ...]) -> str | None:
        if decision is not None:
            return decision.candidate.name
        return None if rules or self._question.gateway else DEFAULT_ROUTE


def _port(netloc: str) -> int:
    port = netloc.rpartition("]")[2].rpartition(":")[2]
    return int(port) if port.isdigit() and len(port) < 6 else 0


def _names(workload: Workload) -> set[str]:
    aliases = {alias for place in workload.attachments for alias in place.aliases}
    return {name.lower() for name in (workload.compose_service, workload.name, *workload.addresses, *aliases)}
