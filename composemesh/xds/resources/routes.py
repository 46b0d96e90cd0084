"""RDS: route configurations, a virtual host for each name that callers use."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from composemesh.model.snapshot import Protocol
from composemesh.xds import protos
from composemesh.xds.resources.actions import rule_route
from composemesh.xds.resources.callees import Callee, http_rules
from composemesh.xds.resources.hashes import hash_policy
from composemesh.xds.resources.resource import Resource, packed
from composemesh.xds.resources.retries import retry_policy

if TYPE_CHECKING:
    from composemesh.xds.resources.making import Making

DEFAULT_ROUTE = "default"
"""Istio's name of what becomes of a request that no rule speaks of."""
ROUTE_MESSAGE = "envoy.config.route.v3.Route"
SMALLEST_BODY_LIMIT = 4096
"""Bytes of a direct response that Envoy allows unless told otherwise."""


def configuration(making: Making, callee: Callee) -> Resource:
    """The routes of the one callee that a listener stands for, and of its parts by name."""
    made = _empty(callee.listener)
    _host(making, made, callee, ["*"])
    for part in callee.parts:
        _host(making, made, part, [part.name])
    return _finished(made)


def shared(making: Making, port: int, callees: Iterable[Callee], elsewhere: dict[str, Any]) -> Resource:
    """The routes of all callees at one port, told apart by the authority that requests name.

    `elsewhere`: the virtual host of all others, where no rule is for them.
    """
    made = _empty(str(port))
    taken: set[str] = set()
    for callee in callees:
        for each in (callee, *callee.parts):
            domains = [name for name in _domains(each) if name not in taken]
            taken.update(domains)
            if domains:
                _host(making, made, each, domains)
    anybody = Callee("*", port, Protocol.HTTP, "*", None)
    if http_rules(making.view, anybody):
        _host(making, made, anybody, ["*"])
    else:
        made.virtual_hosts.append(protos.parse("envoy.config.route.v3.VirtualHost", elsewhere))
    return _finished(made)


def _empty(name: str) -> Any:
    made = protos.message("envoy.config.route.v3.RouteConfiguration")()
    made.name = name
    made.ignore_port_in_host_matching = True
    made.validate_clusters.value = False  # where a rule leads nowhere its callers are told so, and no others
    return made


def _finished(made: Any) -> Resource:
    bodies = [len(route.direct_response.body.inline_bytes) for host in made.virtual_hosts for route in host.routes]
    if max(bodies, default=0) > SMALLEST_BODY_LIMIT:
        made.max_direct_response_body_size_bytes.value = max(bodies)
    return packed(made, made.name)


def _host(making: Making, configuration: Any, callee: Callee, domains: list[str]) -> None:
    """Add the virtual host of a callee: its rules, or, where this caller meets none, the way it was going."""
    made = configuration.virtual_hosts.add()
    made.name = callee.listener
    made.domains.extend(domains)
    rules = http_rules(making.view, callee)
    for candidate in rules:
        with making.contained(candidate.name, candidate.origin):
            said = rule_route(making, candidate, callee.port)
            if said is not None:
                made.routes.append(protos.parse(ROUTE_MESSAGE, said))
    if not rules and callee.place is not None:
        cluster = making.want(callee.place)
        route = made.routes.add()
        route.CopyFrom(_default(making.node.proxyless))
        route.route.cluster = cluster
        for said in hash_policy(making, [cluster]):
            route.route.hash_policy.append(protos.parse("envoy.config.route.v3.RouteAction.HashPolicy", said))


@cache
def _default(proxyless: bool) -> Any:
    action = {} if proxyless else {"timeout": "0s", "retry_policy": retry_policy(None, proxyless)}
    prefix = "" if proxyless else "/"
    return protos.parse(
        ROUTE_MESSAGE, {"name": DEFAULT_ROUTE, "match": {"prefix": prefix}, "route": {"cluster": "-", **action}}
    )


def _domains(callee: Callee) -> list[str]:
    """How requests may name a callee: `reviews`, and the forms of Kubernetes where it is a service."""
    if callee.name.startswith("*") or "." in callee.name:
        return [callee.name, *callee.aliases]
    kubernetes = [f"{callee.name}.default{rest}" for rest in ("", ".svc", ".svc.cluster.local")]
    return [callee.name, *callee.aliases, *kubernetes]
