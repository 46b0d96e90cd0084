"""Names that exist only in the mesh, and the virtual addresses that stand for them.

Whoever answers a container's questions asks here what a name is to the mesh; whoever takes its connections asks what
an address stands for. Both ask the same object, so that an address means the same to both, also after a change.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2s
from typing import NamedTuple

from composemesh.model.entry import Resolution, ServiceEntry
from composemesh.model.route import MESH, VirtualHost
from composemesh.model.snapshot import Snapshot
from composemesh.model.workload import Discovered, Kind, Workload
from composemesh.routing.hosts import canonical, matches

VIRTUAL = "240.240.0.0/16"
"""Of a class that nobody routes (RFC 1112, 4): Istio's choice too."""
MOST_SEEN = 4096
"""Names of departed services that are remembered; the oldest is forgotten first."""
MOST_LEARNED = 4096
"""Addresses that are known to be a declared host's."""

_SIZE = (1 << 16) - 2
_CONTAINER_ID = re.compile(r"[0-9a-f]{12}")


class Standing(enum.Enum):
    """Who answers for a name."""

    OURS = "ours"
    """The mesh: nobody else can know it."""
    UNLESS_KNOWN = "unless known"
    """The mesh, where Docker's resolver does not know it: it may be a container's that we can't see."""
    THEIRS = "theirs"
    """Docker's resolver; what it says is worth remembering, because the host is declared."""


class Name(NamedTuple):
    """What a name is to the mesh."""

    host: str
    """Canonical: a service, a Compose service, or a host as it was declared (`*.x` for all that this matches)."""
    standing: Standing
    addresses: tuple[str, ...] = ()
    """What it resolves to where the mesh answers."""


class VirtualAddresses:
    """A host's address, for good: a hash of its name, so that it is nearly always the same in every run of the mesh.

    Of hosts whose hashes fall together, the first comer keeps the place and the other takes the next.
    """

    def __init__(self) -> None:
        self._addresses: dict[str, str] = {}
        self._hosts: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<VirtualAddresses {len(self._addresses)}>"

    def of(self, host: str) -> str:
        """The address that stands for a host. Raises OverflowError where all 65,534 are taken."""
        known = self._addresses.get(host)
        if known is not None:
            return known
        first = int.from_bytes(blake2s(host.encode(), digest_size=8).digest())
        for step in range(_SIZE):
            number = (first + step) % _SIZE + 1
            address = f"240.240.{number >> 8}.{number & 255}"
            if address not in self._hosts:
                self._addresses[host], self._hosts[address] = address, host
                return address
        raise OverflowError(f"no virtual address is left for {host}")

    def host(self, address: str) -> str | None:
        """The host that an address stands for, or once stood for: clients keep addresses."""
        return self._hosts.get(address)


class Names:
    """All names of one mesh. Survives every change; `update` after each."""

    def __init__(self) -> None:
        self._virtual = VirtualAddresses()
        self._learned: dict[str, str] = {}
        self._seen: dict[str, None] = {}
        self._services: frozenset[str] = frozenset()
        """Every name of a service, running or not."""
        self._exact: dict[str, Name] = {}
        self._patterns: tuple[Name, ...] = ()
        self._project = ""
        self._basis: tuple[Snapshot, Discovered] | None = None

    def __repr__(self) -> str:
        return f"<Names {len(self._exact)} and {len(self._patterns)} patterns, {self._virtual!r}>"

    def update(self, snapshot: Snapshot, discovered: Discovered) -> None:
        """Take in what is configured and what runs. Costs nothing where neither is new."""
        if self._basis is not None and self._basis[0] is snapshot and self._basis[1] is discovered:
            return
        self._basis = (snapshot, discovered)
        running = set(_running(snapshot, discovered))
        processes = set(_of_kind(snapshot, discovered, Kind.PROCESS)) - running
        self._remember({*running, *processes, *_of_kind(snapshot, discovered, Kind.FOUND)})
        said = (each.service for each in snapshot.services.values() if each.service)
        configured = {*snapshot.names, *snapshot.services, *said}
        self._services = frozenset({*self._seen, *(name.lower() for name in configured)})
        self._project = snapshot.project.lower()
        for name in sorted(self._services):
            self._virtual.of(name)

        found: dict[str, Name] = {}
        for host, standing, addresses in self._declared(snapshot):
            if host not in found and host not in self._services:
                found[host] = Name(host, standing, addresses or (self._virtual.of(host),))
        for service in self._services - running:
            found[service] = Name(service, Standing.UNLESS_KNOWN, (self._virtual.of(service),))
        for service in processes:
            found[service] = Name(service, Standing.OURS, (self._virtual.of(service),))
        self._exact = {name: known for name, known in found.items() if not name.startswith("*")}
        patterns = [known for name, known in found.items() if name.startswith("*")]
        self._patterns = tuple(sorted(patterns, key=lambda known: -len(known.host)))

    def find(self, name: str) -> Name | None:
        """What a lowercase name without its last dot is to the mesh; None where it is nothing."""
        known = self._exact.get(name)
        if known is None and "." in name:
            known = self._kubernetes(name)
            if known is None:
                known = next((each for each in self._patterns if matches(each.host, name)), None)
        return known

    def virtual_host(self, address: str) -> str | None:
        """The host that a virtual address stands for."""
        return self._virtual.host(address)

    def address_of(self, host: str) -> str:
        """The virtual address that stands for a host, whether or not anybody knows it yet."""
        return self._virtual.of(host)

    def learned_host(self, address: str) -> str | None:
        """The declared host that a real address was last found to belong to."""
        return self._learned.get(address)

    def learn(self, host: str, addresses: Iterable[str]) -> None:
        """A declared host was found at these addresses."""
        for address in addresses:
            self._learned.pop(address, None)
            self._learned[address] = host
        while len(self._learned) > MOST_LEARNED:
            del self._learned[next(iter(self._learned))]

    def _remember(self, running: set[str]) -> None:
        for name in running:
            self._seen.pop(name, None)
            self._seen[name] = None
        while len(self._seen) > max(MOST_SEEN, len(running)):
            del self._seen[next(iter(self._seen))]

    def _kubernetes(self, name: str) -> Name | None:
        """A service in one of Kubernetes' forms. `reviews.shop` may also be a host of the domain .shop."""
        service = canonical(name)
        if service != name:
            if service in self._services:
                return Name(service, Standing.OURS, (self._virtual.of(service),))
            return self._exact.get(service)
        service, _, namespace = name.partition(".")
        if service in self._services and namespace in ("default", self._project):
            standing = Standing.OURS if namespace == "default" else Standing.UNLESS_KNOWN
            return Name(service, standing, (self._virtual.of(service),))
        return None

    def _declared(self, snapshot: Snapshot) -> Iterator[tuple[str, Standing, tuple[str, ...]]]:
        """Hosts that documents name, entries first; no addresses for a virtual one."""
        for entry in snapshot.entries:
            standing, addresses = _standing(entry)
            for host in entry.hosts:
                yield canonical(host), standing, addresses
        for virtual in snapshot.virtual_hosts:
            if _within_mesh(virtual):
                for host in virtual.hosts:
                    if host != "*":
                        yield canonical(host), Standing.UNLESS_KNOWN, ()


def names_of(workload: Workload) -> frozenset[str]:
    """Names by which Docker resolves a container, lowercase, its Compose service's among them."""
    aliases = {alias.lower() for place in workload.attachments for alias in place.aliases}
    return frozenset({workload.compose_service.lower(), *aliases})


def _running(snapshot: Snapshot, discovered: Discovered) -> Iterator[str]:
    """Names by which services can be called that have a container."""
    for workload in discovered.workloads:
        if workload.kind is Kind.CONTAINER and not workload.oneoff:
            yield snapshot.settings_of(workload).service.lower()
            yield from (name for name in names_of(workload) if not _CONTAINER_ID.fullmatch(name))


def _of_kind(snapshot: Snapshot, discovered: Discovered, kind: Kind) -> Iterator[str]:
    """Names of services that have no container. What was found on the network stands behind whom Docker knows."""
    return (snapshot.settings_of(each).service.lower() for each in discovered.workloads if each.kind is kind)


def _standing(entry: ServiceEntry) -> tuple[Standing, tuple[str, ...]]:
    """Who answers for the hosts of an entry, and with what, as Istio's agent decides it.

    Of a host without endpoints the real addresses are the only ones there are, and the caller may need them for more
    than TCP.
    """
    said = tuple(address for address in entry.addresses if "/" not in address)
    if said:
        return Standing.OURS, said
    if entry.resolution is Resolution.STATIC or _has_endpoints(entry):
        return (Standing.THEIRS if entry.resolution is Resolution.NONE else Standing.OURS), ()
    return Standing.THEIRS, ()


def _has_endpoints(entry: ServiceEntry) -> bool:
    return bool(entry.endpoints or entry.workload_selector)


def _within_mesh(virtual: VirtualHost) -> bool:
    asked: Sequence[Sequence[str]] = [rule.gateways for http in virtual.http for rule in http.matches]
    return MESH in virtual.gateways or any(MESH in gateways for gateways in asked)
