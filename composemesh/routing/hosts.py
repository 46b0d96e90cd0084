"""Names of services: what a host in a document, or in a request, means."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from composemesh.model.route import VirtualHost


def canonical(host: str, services: Collection[str] = ()) -> str:
    """The name by which the mesh knows a host: lowercase, and for a name in Kubernetes' form its first label.

    `reviews`, `reviews.default.svc.cluster.local` and `reviews.prod.svc` are the service `reviews`; `reviews.prod` is
    where there is such a service; every other name with dots is itself.
    """
    host = host.lower().rstrip(".")
    first, _, rest = host.partition(".")
    if not rest or first == "*":
        return host
    suffix = rest.partition(".")[2]
    if suffix in ("svc", "svc.cluster.local") or (not suffix and first in services):
        return first
    return host


def matches(pattern: str, host: str) -> bool:
    """Whether a host is meant by a name, by `*`, or by `*.x` (which does not mean `x` itself)."""
    if pattern == host or pattern == "*":
        return True
    return pattern.startswith("*") and len(host) >= len(pattern) and host.endswith(pattern[1:])


def means(pattern: str, host: str, services: Collection[str]) -> bool:
    """Whether a pattern of a document means a host: `*.local` and its like mean every service of the project."""
    return matches(pattern, host) or (host in services and matches(pattern, f"{host}.default.svc.cluster.local"))


def most_specific(hosts: Iterable[VirtualHost], host: str) -> tuple[VirtualHost, ...]:
    """The virtual hosts that name `host` in the most specific way: by name, by the longest pattern, by `*`."""
    found: list[VirtualHost] = []
    best = -1
    for virtual in hosts:
        rank = max((_rank(pattern, host) for pattern in virtual.hosts), default=-1)
        if rank > best:
            best, found = rank, [virtual]
        elif rank == best and rank >= 0:
            found.append(virtual)
    return tuple(found)


def _rank(pattern: str, host: str) -> int:
    if pattern == host:
        return 1 << 16
    return len(pattern) if matches(pattern, host) else -1
