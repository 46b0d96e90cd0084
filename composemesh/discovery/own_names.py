"""The names that are the project's own: nobody who is found elsewhere may take one."""

from __future__ import annotations

from composemesh.model.snapshot import Snapshot
from composemesh.model.workload import Discovered, Kind
from composemesh.routing.hosts import canonical
from composemesh.routing.names import names_of


def own_names(snapshot: Snapshot, discovered: Discovered) -> frozenset[str]:
    """Every name by which something of the project's can be called, running or not; lowercase."""
    running = {
        name
        for each in discovered.workloads
        if each.kind is not Kind.FOUND and not each.oneoff
        for name in (snapshot.settings_of(each).service.lower(), each.name.lower(), *names_of(each))
    }
    configured = {name.lower() for name in snapshot.names} | {
        said.service.lower() for said in snapshot.services.values() if said.service
    }
    declared = {canonical(host) for entry in snapshot.entries for host in entry.hosts}
    return frozenset({*running, *configured, *declared})
