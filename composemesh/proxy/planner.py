"""What outlives plans, and makes them: bring the live objects up to date, then look at them once more.

Kept is what must survive a change: endpoints with their pools and counters, what ports were found to speak, and the
addresses of workloads that have gone, because callers go on using an address for a while after Docker's DNS has
forgotten it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from composemesh.model.listener import ListenerLimits
from composemesh.model.peer import Peer, PeerKind
from composemesh.model.workload import HOST, Kind, Workload
from composemesh.proxy.chain.live import Filters
from composemesh.proxy.cluster import Endpoint, Spoken
from composemesh.proxy.egress import Egress
from composemesh.proxy.entries import Entries
from composemesh.proxy.plan import Life, Plan
from composemesh.proxy.policies import Policies
from composemesh.routing.names import Names
from composemesh.routing.table import Table
from composemesh.runtime.captured import Captured, HostNamespace

if TYPE_CHECKING:
    import socket

    from composemesh.model.snapshot import Snapshot
    from composemesh.model.workload import Discovered
    from composemesh.proxy.balance.making import Balancers
    from composemesh.runtime.captured import Address, Captures

MOST_DEPARTED = 4096
"""Addresses of departed workloads that are remembered; the oldest is forgotten first."""
MOST_EXTERNAL = 1024
"""Names of TLS servers outside the mesh that records tell apart."""


class Planner:
    """Makes plans, and keeps what outlives them."""

    def __init__(
        self, names: Names | None = None, balancers: Balancers | None = None, filters: Filters | None = None
    ) -> None:
        self.names = names or Names()
        """What virtual addresses stand for."""
        self.filters = filters or Filters()
        self.entries = Entries()
        self.egress = Egress()
        self.endpoints: dict[Life, Endpoint] = {}
        self.spoken: dict[str, Spoken] = {}
        self.listeners = ListenerLimits()
        self.policies = Policies(balancers)
        """What is said of calls to each service, and the counts and ejections that go with it."""
        self.table = Table()
        """All rules. What starts and stops never makes another: only an edit does."""
        self.known: frozenset[str] = frozenset()
        """Services that the configuration speaks of, running or not."""
        self._outside: dict[str, Peer] = {}
        self.departed: dict[str, tuple[str, str]] = {}
        """Address → service and network it was last seen on."""
        self.gateways: dict[str, Endpoint] = {}
        """By name: where requests come from that come in by a gateway."""
        self.plan = Plan(self, {})

    def replan(self, discovered: Discovered, snapshot: Snapshot, captures: Captures) -> Plan:
        """Bring the live objects up to date, and make the plan that the next request reads."""
        self.listeners = snapshot.mesh.listeners
        if snapshot.virtual_hosts is not self.table.virtual_hosts:
            self.table = Table(snapshot.virtual_hosts, self.table)
        self.filters.replan(snapshot.mesh.filters, snapshot.filters)
        self.known = snapshot.names.union(said.service for said in snapshot.services.values())
        self.names.update(snapshot, discovered)
        self.entries.update(snapshot.entries)
        self.egress.update(snapshot)
        alive: dict[Life, Endpoint] = {}
        for workload in discovered.workloads:
            settings = snapshot.settings_of(workload)
            captured = captures.captured.get(workload.life)
            endpoint = self._endpoint(workload, settings.service, settings.version, captured is not None)
            endpoint.captured = captured or endpoint.captured  # what drains after its release still dials
            endpoint.introduced = settings.proxy_protocol
            awaited = workload.kind is not Kind.FOUND and workload.id not in captures.refused
            endpoint.pending = endpoint.captured is None and awaited
            alive[workload.life] = endpoint
            self.spoken.setdefault(settings.service, Spoken()).declared.update(settings.ports)
        for life, endpoint in self.endpoints.items():
            if life not in alive:
                endpoint.close()
                self._depart(endpoint)
        self.endpoints = alive
        self.policies.replan(snapshot.policies, {*alive, *self.entries.lives})
        everywhere = frozenset[str]().union(*(endpoint.networks for endpoint in alive.values()))
        for name, caller in self.gateways.items():
            if name not in snapshot.gateways:
                caller.close()
        self.gateways = {name: self.gateways.get(name) or _caller(name) for name in snapshot.gateways}
        for caller in self.gateways.values():
            caller.networks = everywhere  # the host has an address on each
        for endpoint in alive.values():
            if endpoint.workload.kind is Kind.PROCESS:
                endpoint.networks = everywhere
        serving = {endpoint.service for endpoint in alive.values()}
        self.spoken = {name: spoken for name, spoken in self.spoken.items() if name in serving}
        self.entries.resolutions.want(self.entries.names, (*alive.values(), *self.gateways.values()))
        for host, addresses in self.entries.found():
            self.names.learn(host, addresses)
        self.plan = Plan(self, alive)
        return self.plan

    def outside(self, name: str, peer: Peer) -> Peer:
        """The peer of that name outside the mesh; the one that its address stands for, where there are too many."""
        known = self._outside.get(name)
        if known is None:
            if len(self._outside) >= MOST_EXTERNAL:
                return peer
            known = self._outside[name] = Peer(name, "unknown", "unknown", PeerKind.EXTERNAL, captured=False)
        return known

    def connected(self) -> tuple[Endpoint, ...]:
        """Everybody whose pools may hold connections: endpoints, and gateways, for whom others are dialled."""
        return (*self.endpoints.values(), *self.gateways.values())

    def _endpoint(self, workload: Workload, service: str, version: str, captured: bool) -> Endpoint:
        known = self.endpoints.get(workload.life)
        if known is None:
            peer = Peer(service, version, workload.name, PeerKind.SERVICE, captured=captured)
            return Endpoint(workload, peer)
        known.workload = workload
        known.networks = frozenset(place.network for place in workload.attachments)
        peer = known.peer
        if (peer.service, peer.version, peer.workload, peer.captured) != (
            service,
            version,
            workload.name,
            captured,
        ):
            known.peer = Peer(service, version, workload.name, PeerKind.SERVICE, captured=captured)
            known.service = service
        return known

    def _depart(self, endpoint: Endpoint) -> None:
        for place in endpoint.workload.attachments:
            if place.network == HOST:
                continue
            for address in place.addresses:
                self.departed.pop(address, None)
                self.departed[address] = (endpoint.service, place.network)
        while len(self.departed) > MOST_DEPARTED:
            del self.departed[next(iter(self.departed))]


def _caller(gateway: str) -> Endpoint:
    """The host itself as the caller: it stands before no workload, and reaches every network of the project."""
    workload = Workload(f"gateway {gateway}", gateway, gateway, "", 0)
    caller = Endpoint(workload, Peer(gateway, "latest", gateway, PeerKind.GATEWAY, captured=True))
    caller.captured = Captured(workload, HostNamespace(), (), (), _own_address, frozenset)
    return caller


def _own_address(sock: socket.socket) -> Address:
    """Nobody is redirected to a gateway: where a client arrived is where it was going."""
    host, port = sock.getsockname()[:2]
    return host, port
