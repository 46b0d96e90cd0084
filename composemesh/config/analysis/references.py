"""References to what isn't there: hosts, subsets, ports, gateways."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from composemesh.config.analysis.findings import (
    NO_SUCH_VERSION,
    NOT_AT_GATEWAY,
    NOT_FOUND,
    PORT_NEEDED,
    UNKNOWN_HOST,
    Rules,
    problem,
)
from composemesh.config.schema.reading import nearest
from composemesh.model.origin import Origin
from composemesh.model.policy import DestinationPolicy
from composemesh.model.problem import Problem
from composemesh.model.route import MESH, ConnectionRule, Destination, HttpRule, VirtualHost
from composemesh.routing.hosts import matches, means

Services = Mapping[str, Collection[int]]


Versions = Mapping[str, Collection[str]]


def references(rules: Rules, services: Services | None, versions: Versions) -> Iterator[Problem]:
    """Everything that is named and not there."""
    hosts = None if services is None else _hosts(rules, services)
    patterns = tuple(policy for host, policy in rules.policies.items() if host.startswith("*"))
    for virtual in rules.virtual_hosts:
        yield from _gateways(rules, virtual)
        for rule, destination in _destinations(virtual):
            if hosts is not None:
                yield from _host(rules, hosts, rule, destination, at_gateway=MESH not in virtual.gateways)
            yield from _subset(rules, patterns, rule.origin, destination)
            yield from _version(rules, versions, rule.origin, destination)
    for policy in rules.policies.values():
        if hosts is not None and policy.origin.kind == "DestinationRule" and _ports(hosts, policy.host) is None:
            yield problem(UNKNOWN_HOST, policy.origin, policy.host, hint=_hint(policy.host, hosts))


def _hosts(rules: Rules, services: Services) -> dict[str, Collection[int]]:
    """Every host that can be called, patterns included, with its ports."""
    hosts = dict(services)
    for entry in rules.entries:
        for host in entry.hosts:
            hosts[host] = {*hosts.get(host, ()), *(port.number for port in entry.ports)}
    return hosts


def _ports(hosts: Mapping[str, Collection[int]], host: str) -> Collection[int] | None:
    """The ports of a host, none known being empty; None where there is no such host."""
    if host in hosts:
        return hosts[host]
    found = [ports for known, ports in hosts.items() if matches(known, host) or means(host, known, hosts)]
    return found[0] if found else None


def _destinations(virtual: VirtualHost) -> Iterator[tuple[HttpRule | ConnectionRule, Destination]]:
    for rule in virtual.http:
        for arm in rule.destinations:
            yield rule, arm.destination
        for mirror in rule.mirrors:
            yield rule, mirror.destination
    for other in (*virtual.tls, *virtual.tcp):
        for arm in other.destinations:
            yield other, arm.destination


def _host(
    rules: Rules,
    hosts: Mapping[str, Collection[int]],
    rule: HttpRule | ConnectionRule,
    destination: Destination,
    *,
    at_gateway: bool,
) -> Iterator[Problem]:
    ports = _ports(hosts, destination.host)
    if ports is None:
        yield problem(NOT_FOUND, rule.origin, "host", destination.host, hint=_hint(destination.host, hosts))
    elif destination.port and ports and destination.port not in ports:
        wanted = f"{destination.host}:{destination.port}"
        listed = ", ".join(str(port) for port in sorted(ports))
        yield problem(NOT_FOUND, rule.origin, "host:port", wanted, hint=f"It is known to have {listed}.")
    elif at_gateway and not destination.port and len(ports) > 1:
        several = sorted(ports)
        yield problem(PORT_NEEDED, rule.origin, destination.host, several, hint=str(several[0]))


def _subset(
    rules: Rules, patterns: Iterable[DestinationPolicy], origin: Origin, destination: Destination
) -> Iterator[Problem]:
    if not destination.subset:
        return
    own = rules.policies.get(destination.host)
    subsets = list(own.subsets if own is not None else ())
    if destination.subset in subsets:
        return
    for policy in patterns:
        if matches(policy.host, destination.host):
            subsets += policy.subsets
    if destination.subset in subsets:
        return
    wanted = f"{destination.host}+{destination.subset}"
    hint = nearest(destination.subset, subsets) if subsets else f"Add a DestinationRule for {destination.host}."
    yield problem(NOT_FOUND, origin, "host+subset in destinationrule", wanted, hint=hint)


def _version(rules: Rules, versions: Versions, origin: Origin, destination: Destination) -> Iterator[Problem]:
    """A subset by a version that nobody has: most often a slip of the pen, and its share of calls is refused."""
    policy, known = rules.policies.get(destination.host), versions.get(destination.host)
    if policy is None or not known or destination.subset not in policy.subsets:
        return
    version = policy.subsets[destination.subset].labels.get("version")
    if version is not None and version not in known:
        yield problem(NO_SUCH_VERSION, origin, destination.host, version, hint=nearest(version, sorted(known)))


def _gateways(rules: Rules, virtual: VirtualHost) -> Iterator[Problem]:
    for name in virtual.gateways:
        if name == MESH:
            continue
        gateway = rules.gateways.get(name)
        if gateway is None:
            known = tuple(rules.gateways)
            hint = nearest(name, known) if known else f"Add a Gateway {name}."
            yield problem(NOT_FOUND, virtual.origin, "gateway", name, hint=hint)
            continue
        served = [host for server in gateway.servers for host in server.hosts]
        for host in virtual.hosts:
            if not any(matches(other, host) or matches(host, other) for other in served):
                yield problem(NOT_AT_GATEWAY, virtual.origin, host, virtual.origin.name, name)


def _hint(host: str, hosts: Mapping[str, Collection[int]]) -> str:
    if not hosts:
        return "The project has no services yet."
    near = nearest(host, tuple(hosts))
    return near if near.startswith("Did") else "Start the service, or declare the host in a ServiceEntry."
