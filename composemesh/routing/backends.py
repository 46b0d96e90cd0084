"""To whom a destination leads, for `explain`: policies, subsets, and every workload that was looked at."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from composemesh.model.origin import NOWHERE, Origin
from composemesh.model.snapshot import Egress
from composemesh.model.workload import HOST, Kind
from composemesh.routing.hosts import canonical, matches
from composemesh.routing.labels import has, labels_of
from composemesh.routing.words import settings_in

if TYPE_CHECKING:
    from composemesh.model.route import Destination, WeightedDestination
    from composemesh.model.snapshot import ServiceSettings, Snapshot
    from composemesh.model.workload import Workload

Json = dict[str, Any]


class Notes:
    """What was considered so far, in the form of the admin API."""

    def __init__(self) -> None:
        self.steps: list[Json] = []

    def add(self, stage: str, candidate: str, matched: bool, because: str, origin: Origin = NOWHERE) -> None:
        """One thing more, and what came of it."""
        self.steps.append(
            {
                "stage": stage,
                "candidate": candidate,
                "matched": matched,
                "because": because,
                "file": origin.file or None,
                "line": origin.line or None,
                "resource": f"{origin.kind} {origin.name}".strip() or None,
            }
        )


class Backends:
    """The answers to where a request of one caller would end up."""

    def __init__(
        self,
        snapshot: Snapshot,
        running: Sequence[tuple[Workload, ServiceSettings]],
        services: Collection[str],
        caller: Workload | None,
        notes: Notes,
    ) -> None:
        self._snapshot = snapshot
        self._running = running
        self._services = services
        self._caller = caller
        self._notes = notes

    def backend(
        self, arm: WeightedDestination, total: int, part: tuple[Workload, ...], port: int, *, ruled: bool
    ) -> Json:
        """One arm: its share of `total`, its policies and endpoints. `part`: who is meant, where it is a part of a
        service; `ruled`: whether a rule leads here."""
        destination = arm.destination
        share = arm.weight / total if total else 1.0
        said = self._snapshot.policies.get(destination.host)
        subset = said.subsets.get(destination.subset) if said is not None else None
        if destination.subset and subset is None:
            self._notes.add(
                "backend", str(destination), False, "no policy names this subset: the answer is a 503 (NC)"
            )
            return {"backend": str(destination), "share": share, "endpoints": [], "policies": []}
        policies: list[str] = []
        if said is not None:
            policies = list(settings_in(said.at(destination.port or port, destination.subset)))
        if policies:
            self._notes.add("policy", str(destination), True, "; ".join(policies))
        labels = subset.labels if subset is not None else {}
        endpoints = list(self._endpoints(destination, labels, part, ruled))
        return {"backend": str(destination), "share": share, "endpoints": endpoints, "policies": policies}

    def _endpoints(
        self, destination: Destination, labels: Mapping[str, str], part: tuple[Workload, ...], ruled: bool
    ) -> Iterable[Json]:
        members = part or tuple(
            workload for workload, settings in self._running if settings.service == destination.host
        )
        if not members and destination.host not in self._services:
            yield from self._declared(destination, labels, ruled)
        elif not members:
            self._notes.add("endpoint", str(destination), False, "nobody runs who stands for it")
        for workload in members:
            settings = self._snapshot.settings_of(workload)
            found = labels_of(workload, settings.service, settings.version)
            if not has(found, labels):
                self._notes.add("endpoint", workload.name, False, f"not of the subset: {_differs(found, labels)}")
            elif (address := self._address(workload)) is None:
                self._notes.add("endpoint", workload.name, False, "on no network of the caller's")
            else:
                self._notes.add("endpoint", workload.name, True, f"{settings.version}, health {workload.health}")
                yield {
                    "workload": workload.name,
                    "version": settings.version,
                    "address": address,
                    "health": workload.health.value,
                }

    def _declared(self, destination: Destination, labels: Mapping[str, str], ruled: bool) -> Iterable[Json]:
        """Endpoints of a host outside the project."""
        host = destination.host
        for entry in self._snapshot.entries:
            if not any(matches(canonical(pattern), host) for pattern in entry.hosts):
                continue
            said = f"a ServiceEntry, {entry.location}, resolution {entry.resolution}"
            self._notes.add("entry", host, True, said, entry.origin)
            endpoints = [each for each in entry.endpoints if has(each.labels, labels)]
            for each in endpoints:
                yield _outside(each.address, each.labels.get("version", "unknown"))
            if not entry.endpoints:
                yield _outside(host, "unknown")
            return
        if ruled:
            self._notes.add("endpoint", str(destination), False, "no service and no entry: the answer is a 503 (NC)")
        elif self._snapshot.mesh.egress is Egress.REGISTRY_ONLY:
            self._notes.add("egress", host, False, "nobody declares it, and egress is registry_only")
        else:
            self._notes.add("egress", host, True, "nobody declares it: the connection goes where it was going")
            yield _outside(host, "unknown")

    def _address(self, workload: Workload) -> str | None:
        caller = self._caller
        bound = caller is not None and caller.kind is not Kind.PROCESS  # the host has an address on every network
        networks = {place.network for place in caller.attachments} if caller is not None and bound else None
        for place in workload.attachments:
            if place.addresses and (networks is None or place.network == HOST or place.network in networks):
                return place.addresses[0]
        return None


def _outside(address: str, version: str) -> Json:
    return {"workload": address, "version": version, "address": address, "health": "none"}


def _differs(found: Mapping[str, str], labels: Mapping[str, str]) -> str:
    return ", ".join(
        f"{name} is {found.get(name, 'missing')}, not {value}"
        for name, value in labels.items()
        if found.get(name) != value
    )
