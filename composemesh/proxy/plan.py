"""Snapshot, workloads and captures, bound to live objects: where a connection is going, answered by look-ups.

The planner outlives its plans. It keeps what must survive a change: endpoints with their pools and counters, what
ports were found to speak, and the addresses of workloads that have gone, because callers go on using an address for
a while after Docker's DNS has forgotten it. A plan is whole and final; a request reads one plan from start to end.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from composemesh.model.listener import ListenerLimits
from composemesh.model.peer import UNKNOWN, Peer, PeerKind
from composemesh.model.workload import Health, State, Workload
from composemesh.proxy.cluster import Cluster, Endpoint, Spoken, Target
from composemesh.proxy.egress import Egress
from composemesh.proxy.entries import Entries
from composemesh.proxy.outside import NO_LABELS, Bound, Outside
from composemesh.proxy.policies import Policies
from composemesh.proxy.rules import Rules
from composemesh.routing.labels import has, labels_of
from composemesh.routing.names import Names, names_of
from composemesh.routing.table import Table
from composemesh.runtime.captured import Captured, HostNamespace

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from composemesh.model.route import Destination
    from composemesh.model.snapshot import Snapshot
    from composemesh.model.workload import Discovered
    from composemesh.runtime.captured import Address, Captures

Life = tuple[str, str]

MOST_DEPARTED = 4096
"""Addresses of departed workloads that are remembered; the oldest is forgotten first."""

MOST_EXTERNAL = 1024
"""Names of TLS servers outside the mesh that records tell apart."""


class Planner:
    """Makes plans, and keeps what outlives them."""

    def __init__(self, names: Names | None = None) -> None:
        self.names = names or Names()
        """What virtual addresses stand for."""
        self.entries = Entries()
        self.egress = Egress()
        self.endpoints: dict[Life, Endpoint] = {}
        self.spoken: dict[str, Spoken] = {}
        self.listeners = ListenerLimits()
        self.policies = Policies()
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
            endpoint.pending = endpoint.captured is None and workload.id not in captures.refused
            alive[workload.life] = endpoint
            self.spoken.setdefault(settings.service, Spoken()).declared.update(settings.ports)
        for life, endpoint in self.endpoints.items():
            if life not in alive:
                endpoint.close()
                self._depart(endpoint)
        self.endpoints = alive
        self.policies.replan(snapshot.policies, {*alive, *self.entries.lives})
        everywhere = frozenset[str]().union(*(endpoint.networks for endpoint in alive.values()))
        for name, door in self.gateways.items():
            if name not in snapshot.gateways:
                door.close()
        self.gateways = {name: self.gateways.get(name) or _door(name) for name in snapshot.gateways}
        for door in self.gateways.values():
            door.networks = everywhere  # the host has an address on each
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
            for address in place.addresses:
                self.departed.pop(address, None)
                self.departed[address] = (endpoint.service, place.network)
        while len(self.departed) > MOST_DEPARTED:
            del self.departed[next(iter(self.departed))]


class Plan:
    """Where things are, at one moment. Look-ups are remembered, so each is made once a plan."""

    def __init__(self, planner: Planner, endpoints: dict[Life, Endpoint]) -> None:
        self._endpoints = endpoints
        self._spoken = planner.spoken
        self._policies = planner.policies
        self._gateways = dict(planner.gateways)
        self._table = planner.table
        self._known = planner.known.union(service for service, _ in planner.departed.values())
        self._names = planner.names
        self._addresses = dict(planner.departed)
        for endpoint in endpoints.values():
            for place in endpoint.workload.attachments:
                for address in place.addresses:
                    self._addresses[address] = (endpoint.service, place.network)
        self._services: dict[str, list[Endpoint]] = {}
        for endpoint in endpoints.values():
            self._services.setdefault(endpoint.service, []).append(endpoint)
        bound = Bound(self._local, self._selected, self._policies.of, self._rules)
        self._outside = Outside(planner.entries, planner.egress, planner.names, bound)
        self._outbound: dict[tuple[Life, str], Cluster] = {}
        self._inbound: dict[tuple[Life, str], Cluster] = {}
        self._entered: dict[tuple[str, tuple[str, ...]], Cluster] = {}
        self._destinations: dict[tuple[Life, Destination, bool], Cluster | None] = {}

    def __repr__(self) -> str:
        return f"<Plan {len(self._services)} services, {len(self._endpoints)} endpoints>"

    def outbound(self, source: Endpoint, host: str, port: int) -> Cluster:
        """The cluster that `source` means by an address: a service, a host that the configuration names, or the
        address itself.

        An address on a network that the source is not attached to is outside: Docker keeps networks apart, and the
        mesh must not become the way around that. It is dialled from the source's namespace, where Docker decides.
        """
        key = (source.workload.life, host)
        cluster = self._outbound.get(key)
        if cluster is None:
            service, network = self._addresses.get(host, ("", ""))
            meant = self._names.virtual_host(host)
            if network in source.networks:
                cluster = self._cluster(source, service, host)
            elif meant is None:
                return self._outside.at(source, host, port)
            else:
                entry = self._outside.meant(source, meant, port)
                if entry is not None:
                    return entry
                cluster = self._meant(source, meant)
            self._outbound[key] = cluster
        if self._outside.strict and self._outside.hides(source, cluster.service, port):
            return self._outside.blocked(source, cluster.service, port)
        return cluster

    def inbound(self, own: Endpoint, host: str) -> Cluster:
        """The one application that a connection from outside the mesh has reached."""
        key = (own.workload.life, host)
        cluster = self._inbound.get(key)
        if cluster is None:
            assert own.captured is not None, "only a captured workload has an inbound listener"
            target = Target(own, host, own.captured.namespace, own.pools)
            spoken = self._spoken.setdefault(own.service, Spoken())
            policies = self._policies.of(own.service)
            cluster = self._inbound[key] = Cluster(own.service, (target,), spoken, policies, host)
        return cluster

    def gateway(self, name: str, served: tuple[str, ...]) -> Cluster:
        """Where a gateway's server of these hosts leads: to wherever its rules say, and nowhere else."""
        key = (name, served)
        cluster = self._entered.get(key)
        if cluster is None:
            cluster = self._entered[key] = Cluster("unknown", (), Spoken())
            cluster.unreached = UNKNOWN
            source = self._gateways.get(name)
            if source is not None:
                find = partial(self.destination, source)
                cluster.rules = Rules(self._table, find, {}, gateway=name, served=served)
        return cluster

    def destination(self, source: Endpoint, destination: Destination, host: str = "") -> Cluster | None:
        """Where a rule leads `source`, which asked for the address `host`; None where there is no such destination.

        A destination that is known and has nobody to send to is a cluster without targets.
        """
        if destination.host not in self._services and destination.host not in self._known:
            return self._declared(source, destination, host)
        key = (source.workload.life, destination, ":" in host)
        try:
            return self._destinations[key]
        except KeyError:
            cluster = self._destinations[key] = self._part(source, destination, "::" if ":" in host else "")
            return cluster

    def _part(self, source: Endpoint, destination: Destination, host: str) -> Cluster | None:
        service = destination.host
        members = self._reachable(source, service)
        if destination.subset:
            subset = self._policies.subset(service, destination.subset)
            if subset is None:
                return None
            members = [each for each in members if has(_labels(each), subset.labels)]
        return self._of(source, service, members, host, destination.subset)

    def _declared(self, source: Endpoint, destination: Destination, address: str) -> Cluster | None:
        """The cluster of a host outside the project; without resolution, at the address that the source asked for."""
        name, labels = destination.subset, NO_LABELS
        if name:
            subset = self._policies.subset(destination.host, name)
            if subset is None:
                return None
            labels = subset.labels
        return self._outside.destination(source, destination.host, destination.port, address, labels, name)

    def _cluster(self, source: Endpoint, service: str, host: str) -> Cluster:
        reachable = self._reachable(source, service)
        best = self._of(source, service, reachable, host)
        best.rules = self._rules(source, service, host)
        for name, members in _names(reachable).items():
            own = name.decode()
            listed = own != service and self._table.names(own)
            apart = best.rules is not None and _names_one(members[0], own)
            if len(members) < len(reachable) or listed or apart:
                best.narrow[name] = part = self._of(source, service, members, host)
                if listed:
                    part.rules = self._rules(source, own, host)
        return best

    def _of(self, source: Endpoint, service: str, members: list[Endpoint], host: str, subset: str = "") -> Cluster:
        targets = tuple(_target(source, each, host) for each in _best(members))
        spoken = self._spoken.setdefault(service, Spoken())
        return Cluster(service, targets, spoken, self._policies.of(service, subset), host)

    def _reachable(self, source: Endpoint, service: str) -> list[Endpoint]:
        return [
            endpoint
            for endpoint in self._services.get(service, ())
            if not endpoint.workload.oneoff and not endpoint.networks.isdisjoint(source.networks)
        ]

    def _rules(self, source: Endpoint, service: str, host: str) -> Rules | None:
        """What `source` may meet on its way to a service, or, without one, to whomever its requests name."""
        table = self._table
        if not (table.speaks_of(service) if service else table.binds()):
            return None
        return Rules(table, partial(self.destination, source, host=host), _labels(source), host=service)

    def _meant(self, source: Endpoint, name: str) -> Cluster:
        """The cluster of a name that has a virtual address. It may be that nobody answers to it at present."""
        for endpoint in self._endpoints.values():
            if name in (endpoint.service.lower(), *names_of(endpoint.workload)):
                return self._cluster(source, endpoint.service, "").named(name.encode())
        cluster = Cluster(name, (), Spoken())
        cluster.rules = self._rules(source, name, "")
        return cluster

    def _local(self, source: Endpoint, address: str) -> Endpoint | None:
        """The workload at an address that the source can reach; None where it is nobody's."""
        service, network = self._addresses.get(address, ("", ""))
        if network not in source.networks:
            return None
        return next((each for each in self._services.get(service, ()) if address in each.workload.addresses), None)

    def _selected(self, source: Endpoint, labels: Mapping[str, str]) -> list[Endpoint]:
        """The workloads with these labels that the source can reach, the best ones."""
        found = [each for each in self._endpoints.values() if has(_labels(each), labels)]
        reachable = [each for each in found if not each.networks.isdisjoint(source.networks)]
        return _best([each for each in reachable if not each.workload.oneoff])


def _door(gateway: str) -> Endpoint:
    """The host itself as the caller: it stands before no workload, and reaches every network of the project."""
    workload = Workload(f"gateway {gateway}", gateway, gateway, "", 0)
    door = Endpoint(workload, Peer(gateway, "latest", gateway, PeerKind.GATEWAY, captured=True))
    door.captured = Captured(workload, HostNamespace(), (), (), _own_address, frozenset)
    return door


def _own_address(sock: socket.socket) -> Address:
    """Nobody is redirected to a gateway: where a client arrived is where it was going."""
    host, port = sock.getsockname()[:2]
    return host, port


def _labels(endpoint: Endpoint) -> Mapping[str, str]:
    return labels_of(endpoint.workload, endpoint.service, endpoint.peer.version)


def _target(source: Endpoint, endpoint: Endpoint, host: str) -> Target:
    """How `source` reaches `endpoint`, having asked for `host`: on a network they share, in the same IP version."""
    wanted = ":" in host
    shared = [
        address
        for place in endpoint.workload.attachments
        if place.network in source.networks
        for address in place.addresses
    ]
    matching = [address for address in shared if (":" in address) == wanted] or shared
    address = host if host in shared else matching[0]
    if endpoint.captured is not None:
        return Target(endpoint, address, endpoint.captured.namespace, endpoint.pools)
    assert source.captured is not None, "only a captured workload has an outbound listener"
    return Target(endpoint, address, source.captured.namespace, source.pools)


def _best(endpoints: list[Endpoint]) -> list[Endpoint]:
    """Those in the best shape there is. Without a mesh a caller would reach any that runs, so none is ever refused
    for being merely worse than the others; only a paused one, which would hang, and one that has just begun."""
    ranks: dict[int, list[Endpoint]] = {}
    for endpoint in endpoints:
        if endpoint.workload.state is not State.PAUSED and not endpoint.pending:
            ranks.setdefault(_rank(endpoint), []).append(endpoint)
    return ranks[min(ranks)] if ranks else []


def _rank(endpoint: Endpoint) -> int:
    if endpoint.workload.state is State.STOPPING:
        return 4
    if not endpoint.ready:
        return 3
    return {Health.NONE: 0, Health.HEALTHY: 0, Health.STARTING: 1, Health.UNHEALTHY: 2}[endpoint.workload.health]


def _names_one(endpoint: Endpoint, name: str) -> bool:
    """Whether a name means this endpoint, and not its service, even where it is the only one."""
    workload = endpoint.workload
    return name != endpoint.service and name.strip("[]") in {
        workload.compose_service,
        workload.name,
        *workload.addresses,
    }


def _names(endpoints: list[Endpoint]) -> dict[bytes, list[Endpoint]]:
    """Names that a Host may carry → the endpoints meant: a Compose service, a container, an alias, an address."""
    names: dict[bytes, list[Endpoint]] = {}
    for endpoint in endpoints:
        workload = endpoint.workload
        for name in {workload.name.lower(), *names_of(workload), *workload.addresses}:
            bracketed = f"[{name}]" if ":" in name else name
            names.setdefault(bracketed.encode(), []).append(endpoint)
    return names
