"""Contradictions: two resources that say different things of the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from composemesh.config.analysis.findings import (
    ALL_WORKLOADS,
    OTHER_PROTOCOL,
    SAME_CERTIFICATE,
    SAME_HOST,
    SAME_SERVER,
    SAME_WORKLOADS,
    Rules,
    problem,
)
from composemesh.model.gateway import Gateway
from composemesh.model.origin import Origin
from composemesh.model.problem import Problem
from composemesh.model.route import MESH


def conflicts(rules: Rules) -> Iterator[Problem]:
    """Every pair of resources that cannot both be right. Each group is told once, at its last member."""
    yield from _hosts(rules)
    yield from _scopes(rules)
    yield from _servers(rules)
    yield from _certificates(rules)
    yield from _protocols(rules)


def _hosts(rules: Rules) -> Iterator[Problem]:
    owners: dict[str, list[Origin]] = defaultdict(list)
    for virtual in rules.virtual_hosts:
        # At gateways Istio joins VirtualServices for one host; Gateway API joins its routes everywhere.
        if MESH in virtual.gateways and virtual.origin.kind == "VirtualService":
            for host in virtual.hosts:
                owners[host].append(virtual.origin)
    for host, origins in owners.items():
        if len(origins) > 1:
            yield problem(SAME_HOST, origins[-1], _names(origins), host)


def _scopes(rules: Rules) -> Iterator[Problem]:
    owners: dict[tuple[tuple[str, str], ...], list[Origin]] = defaultdict(list)
    for scope in rules.scopes:
        owners[tuple(sorted(scope.selector.items()))].append(scope.origin)
    for selector, origins in owners.items():
        if len(origins) > 1:
            yield problem(SAME_WORKLOADS if selector else ALL_WORKLOADS, origins[-1], _names(origins))


def _servers(rules: Rules) -> Iterator[Problem]:
    owners: dict[tuple[int, str], list[tuple[Gateway, frozenset[str], Origin]]] = defaultdict(list)
    for gateway in rules.gateways.values():
        for server in gateway.servers:
            hosts = frozenset(server.hosts)
            for other, theirs, origin in owners[server.port, server.bind]:
                both = sorted(hosts & theirs)
                if both and origin != server.origin:
                    names = f"{other.name} and {gateway.name}"
                    yield problem(SAME_SERVER, server.origin, names, server.port, ", ".join(both))
            owners[server.port, server.bind].append((gateway, hosts, server.origin))


def _certificates(rules: Rules) -> Iterator[Problem]:
    owners: dict[str, dict[str, Origin]] = defaultdict(dict)
    for gateway in rules.gateways.values():
        for server in gateway.servers:
            if server.tls is not None and server.tls.certificate:
                owners[server.tls.certificate][gateway.name] = server.origin
    for certificate, origins in owners.items():
        if len(origins) > 1:
            yield problem(SAME_CERTIFICATE, list(origins.values())[-1], certificate, ", ".join(origins))


def _protocols(rules: Rules) -> Iterator[Problem]:
    owners: dict[tuple[str, int], dict[str, Origin]] = defaultdict(dict)
    for entry in rules.entries:
        for port in (port for port in entry.ports if port.protocol):
            for host in entry.hosts:
                owners[host, port.number].setdefault(port.protocol, entry.origin)
    for (host, number), protocols in owners.items():
        if len(protocols) > 1:
            origins = list(protocols.values())
            yield problem(OTHER_PROTOCOL, origins[-1], _names(origins), host, number, ", ".join(sorted(protocols)))


def _names(origins: list[Origin]) -> str:
    return ", ".join(dict.fromkeys(origin.name for origin in origins))
