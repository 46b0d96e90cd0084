"""The mesh as one client's caller meets it: which services it reaches, at which ports, and who stands for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import TYPE_CHECKING, NamedTuple

from composemesh.model.snapshot import Egress, Protocol
from composemesh.model.workload import FITNESS, HOST, State
from composemesh.routing.declared import Declarations
from composemesh.routing.labels import has, labels_of
from composemesh.routing.names import names_of
from composemesh.routing.scopes import includes, scope_of
from composemesh.routing.table import Table

if TYPE_CHECKING:
    from composemesh.model.entry import EntryPort
    from composemesh.model.snapshot import ServiceSettings, Snapshot
    from composemesh.model.workload import Discovered, Workload
    from composemesh.routing.declared import Declared
    from composemesh.xds.resources.node import Node

_CONTAINER_ID = re.compile(r"[0-9a-f]{12}")


class Place(NamedTuple):
    """What one cluster stands for."""

    host: str
    port: int
    """Where callers go; where they are taken may differ."""
    subset: str = ""
    part: str = ""
    """A name that means some of the service's workloads (`reviews-v1`); empty for all."""

    @property
    def cluster(self) -> str:
        """Istio's form, `outbound|9080|v1|reviews`; a part by name is `outbound|9080|@reviews-v1|reviews`."""
        return f"outbound|{self.port}|{'@' + self.part if self.part else self.subset}|{self.host}"


class Service:
    """A service of the project, as far as the caller reaches it."""

    __slots__ = ("members", "name", "names", "ports")

    def __init__(self, name: str) -> None:
        self.name = name
        self.ports: dict[int, Protocol] = {}
        self.members: list[Workload] = []
        self.names: dict[str, list[Workload]] = {}
        """Other names that callers use → who is meant."""

    def __repr__(self) -> str:
        return f"<Service {self.name} {sorted(self.ports)} {len(self.members)} members>"


class Standpoint(NamedTuple):
    """All of a client that the mesh looks different by."""

    caller: Workload | None
    """The workload that it calls others for."""
    labels: Mapping[str, str]
    networks: frozenset[str] | None
    """None for a client that stands for nobody that runs here: it is taken for the host, which is on each."""


Running = Sequence[tuple["Workload", "ServiceSettings"]]
"""What runs, with its settings."""


def running_in(snapshot: Snapshot, discovered: Discovered) -> Running:
    return [(each, snapshot.settings_of(each)) for each in discovered.workloads]


def standpoint(node: Node, running: Running) -> Standpoint:
    """Where a client stands. Of several workloads of a service it is any: they are alike to rules, but for labels."""
    for name in node.stands_for:
        for way in range(3):
            for workload, own in running:
                if (workload.name, workload.compose_service, own.service)[way] == name:
                    networks = frozenset(place.network for place in workload.attachments)
                    return Standpoint(workload, labels_of(workload, own.service, own.version), networks)
    return Standpoint(None, {}, None)


class View:
    """Look-ups for one client. Made anew whenever something starts or stops, so it does little ahead of time."""

    def __init__(self, snapshot: Snapshot, discovered: Discovered, node: Node, table: Table | None = None) -> None:
        self.snapshot = snapshot
        self.table = table or Table(snapshot.virtual_hosts)
        running = running_in(snapshot, discovered)
        self.caller, self.labels, self.networks = standpoint(node, running)
        self.services: dict[str, Service] = {}
        self._versions: dict[str, tuple[str, str]] = {}
        for workload, settings in running:
            service = self._service(settings.service)
            service.ports.update(settings.ports)
            if not workload.oneoff and self.address(workload) is not None:
                self._versions[workload.id] = (settings.service, settings.version)
                service.members.append(workload)
                for port in workload.ports:
                    service.ports.setdefault(port, Protocol.AUTO)
                for name in names_of(workload):
                    if name != settings.service and not _CONTAINER_ID.fullmatch(name):
                        service.names.setdefault(name, []).append(workload)
        for said in snapshot.services.values():
            if said.service:
                for port, protocol in said.ports.items():
                    self._service(said.service).ports[port] = protocol
        self.scope = scope_of(snapshot.scopes, self.labels)
        self.known = {*self.services, *snapshot.names}
        """Services, running or not."""
        self._declared = Declarations(snapshot.entries)

    def __repr__(self) -> str:
        return f"<View of {self.caller and self.caller.name}: {len(self.services)} services>"

    @property
    def shape(self) -> object:
        """All that matters of it to anything but endpoints: while it is equal, only these can have changed."""
        return (
            dict(self.labels),
            {
                name: (
                    service.ports,
                    {alias: len(meant) == len(service.members) for alias, meant in service.names.items()},
                )
                for name, service in self.services.items()
            },
            {
                name: self.addresses_of(name)
                for name, service in self.services.items()
                if Protocol.TCP in service.ports.values()
                or any(self.table.connections(name, tls=tls) for tls in (True, False))
            },
        )

    def declarations(self) -> Iterator[tuple[str, EntryPort]]:
        """Every declared host with each of its ports, once; none of an entry that lists no ports."""
        for host, entries in self._declared.hosts.items():
            yield from (
                (host, port)
                for port in {port.number: port for each in reversed(entries) for port in each.ports}.values()
            )

    def addresses_of(self, host: str) -> list[tuple[str, int]]:
        """Where connections go that mean a host: addresses of its workloads, or what its entries say; with lengths
        of prefixes."""
        service = self.services.get(host)
        if service is not None:
            found = [address for each in service.members for address in each.addresses]
        else:
            found = [address for entry in self._declared.hosts.get(host, ()) for address in entry.addresses]
        networks = [ip_network(address, strict=False) for address in found]
        return [(str(network.network_address), network.prefixlen) for network in networks]

    # === what its scope allows (Istio's Sidecar) ===

    @property
    def registry_only(self) -> bool:
        """Whether the caller may reach nothing but what is declared."""
        if self.scope is not None and self.scope.registry_only is not None:
            return self.scope.registry_only
        return self.snapshot.mesh.egress is Egress.REGISTRY_ONLY

    def may_call(self, host: str, port: int) -> bool:
        """Whether a host counts as declared for this caller. Where all hosts are allowed, none is left out."""
        return not self.registry_only or includes(self.scope, host, port)

    def declared(self, host: str, port: int) -> Declared | None:
        """Who declares a host, by its name or else by the longest pattern, with this port (0 for any)."""
        return self._declared.find(host, port)

    def members(self, place: Place) -> list[Workload]:
        """The workloads that stand for a place, those in the best shape there is.

        Without a mesh a caller would reach any that runs, so none is left out for being merely worse than the others;
        only a paused one, which would hang.
        """
        service = self.services.get(place.host)
        if service is None:
            return []
        found = service.names.get(place.part, []) if place.part else service.members
        if place.subset:
            wanted = self.snapshot.policies[place.host].subsets[place.subset].labels
            found = [each for each in found if has(labels_of(each, *self._versions[each.id]), wanted)]
        return fittest(found)

    def selected(self, labels: Mapping[str, str]) -> list[Workload]:
        """The workloads of the project that an entry's selector picks."""
        reached = (each for service in self.services.values() for each in service.members)
        return fittest([each for each in reached if has(labels_of(each, *self._versions[each.id]), labels)])

    def address(self, workload: Workload) -> str | None:
        """Where the caller reaches a workload: on a network that they share, IPv4 first; None where there is none."""
        for place in workload.attachments:
            if place.addresses and (self.networks is None or place.network in (HOST, *self.networks)):
                return place.addresses[0]
        return None

    def _service(self, name: str) -> Service:
        known = self.services.get(name)
        if known is None:
            known = self.services[name] = Service(name)
        return known


def fittest(workloads: Iterable[Workload]) -> list[Workload]:
    """Those in the best shape."""
    ranks: dict[int, list[Workload]] = {}
    for each in workloads:
        if each.state is not State.PAUSED:
            rank = 3 if each.state is State.STOPPING else FITNESS[each.health]
            ranks.setdefault(rank, []).append(each)
    return ranks[min(ranks)] if ranks else []
