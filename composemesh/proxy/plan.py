"""Snapshot, workloads and captures, bound to live objects: where a connection is going, answered by look-ups.

A plan is whole and final; a request reads one plan from start to end. See `planner` for what outlives it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from composemesh.model.peer import UNKNOWN
from composemesh.model.workload import HOST
from composemesh.proxy.cluster import Cluster, Endpoint, Spoken, Target
from composemesh.proxy.outside import NO_LABELS, Bound, Outside
from composemesh.proxy.rules import Rules
from composemesh.proxy.standing import called, fittest, labels_at, names_one, target_of
from composemesh.routing.labels import has
from composemesh.routing.names import names_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from composemesh.model.route import Destination
    from composemesh.proxy.planner import Planner

Life = tuple[str, str]


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
        self._filters = planner.filters
        self._addresses = dict(planner.departed)
        for endpoint in endpoints.values():
            for place in endpoint.workload.attachments:
                if place.network == HOST:
                    continue  # several may share an address there, so that names alone tell which is meant
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
            cluster.filters = self._filters.of(own.service)
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
            members = [each for each in members if has(labels_at(each), subset.labels)]
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
        for name, members in called(reachable).items():
            own = name.decode()
            listed = own != service and self._table.names(own)
            apart = best.rules is not None and names_one(members[0], own)
            if len(members) < len(reachable) or listed or apart:
                best.narrow[name] = part = self._of(source, service, members, host)
                if listed:
                    part.rules = self._rules(source, own, host)
        return best

    def _of(self, source: Endpoint, service: str, members: list[Endpoint], host: str, subset: str = "") -> Cluster:
        targets = tuple(target_of(source, each, host) for each in fittest(members))
        spoken = self._spoken.setdefault(service, Spoken())
        cluster = Cluster(service, targets, spoken, self._policies.of(service, subset), host)
        cluster.filters = self._filters.of(service)
        return cluster

    def _reachable(self, source: Endpoint, service: str) -> list[Endpoint]:
        return [
            endpoint
            for endpoint in self._services.get(service, ())
            if not endpoint.workload.oneoff and source.reaches(endpoint)
        ]

    def _rules(self, source: Endpoint, service: str, host: str) -> Rules | None:
        """What `source` may meet on its way to a service, or, without one, to whomever its requests name."""
        table = self._table
        if not (table.speaks_of(service) if service else table.binds()):
            return None
        return Rules(table, partial(self.destination, source, host=host), labels_at(source), host=service)

    def _meant(self, source: Endpoint, name: str) -> Cluster:
        """The cluster of a name that has a virtual address. It may be that nobody answers to it at present."""
        for endpoint in self._endpoints.values():
            if name == endpoint.service.lower() or name in names_of(endpoint.workload):
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
        found = [each for each in self._endpoints.values() if has(labels_at(each), labels)]
        reachable = [each for each in found if source.reaches(each)]
        return fittest([each for each in reachable if not each.workload.oneoff])
