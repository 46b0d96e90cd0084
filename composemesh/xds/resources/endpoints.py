"""EDS: who stands for a cluster at this moment. The one type that changes whenever something starts or stops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from composemesh.model.workload import Kind
from composemesh.routing.labels import has
from composemesh.runtime.addresses import is_address
from composemesh.xds import protos
from composemesh.xds.resources.resource import Resource, packed

if TYPE_CHECKING:
    from composemesh.model.entry import EntryPort
    from composemesh.model.workload import Workload
    from composemesh.routing.declared import Declared
    from composemesh.xds.resources.making import Making
    from composemesh.xds.resources.view import Place

LOCALITY = "compose"
"""One zone for all, which gRPC wants to have a name and a weight."""


class Target(NamedTuple):
    """One endpoint of a cluster."""

    address: str
    port: int
    weight: int = 1


Known = dict[str, tuple[tuple[Target, ...], Resource]]
"""By cluster: what was made of which targets."""


def generate(making: Making, places: dict[str, Place], before: Known) -> Known:
    """The endpoints of every cluster that takes them from here; where they stay the same, so does the resource."""
    found: Known = {}
    for name, place in places.items():
        targets = targets_of(making, place)
        known = before.get(name)
        if known is None or known[0] != targets:
            known = (targets, packed(assignment(name, targets), name))
        found[name] = known
    return found


def targets_of(making: Making, place: Place) -> tuple[Target, ...]:
    """Where the caller finds those who stand for a place."""
    view = making.view
    if place.host in view.known:
        return tuple(Target(view.address(each) or "", _dialled(each, place.port)) for each in view.members(place))
    declared = view.declared(place.host, place.port)
    if declared is None:
        return ()
    wanted = subset_labels(making, place)
    selector = declared.entry.workload_selector
    picked = view.selected({**selector, **wanted}) if selector else []
    return (
        *(Target(view.address(each) or "", port_of(declared, place.port)) for each in picked),
        *(each for each in written(declared, place.port, wanted) if is_address(each.address)),
    )


def written(declared: Declared, port: int, wanted: dict[str, str] | Any) -> tuple[Target, ...]:
    """The endpoints that an entry lists; the host itself where it lists none, and no workload stands for it."""
    entry = declared.entry
    if not entry.endpoints and not entry.workload_selector:
        return (Target(declared.host, port_of(declared, port)),)
    name = declared.port.name if declared.port is not None else ""
    return tuple(
        Target(each.address, each.ports.get(name) or port_of(declared, port), max(each.weight, 1))
        for each in entry.endpoints
        if has(each.labels, wanted)
    )


def port_of(declared: Declared, port: int) -> int:
    """The port to dial."""
    said: EntryPort | None = declared.port
    return port if said is None else said.target or said.number


def subset_labels(making: Making, place: Place) -> Any:
    """The labels of a place's subset; none where it is all of the host."""
    return making.view.snapshot.policies[place.host].subsets[place.subset].labels if place.subset else {}


def assignment(name: str, targets: tuple[Target, ...]) -> Any:
    """A ClusterLoadAssignment."""
    made = protos.message("envoy.config.endpoint.v3.ClusterLoadAssignment")()
    made.cluster_name = name
    if targets:
        locality = made.endpoints.add()
        locality.locality.zone = LOCALITY
        locality.load_balancing_weight.value = 1
        for target in targets:
            endpoint = locality.lb_endpoints.add()
            address = endpoint.endpoint.address.socket_address
            address.address = target.address
            address.port_value = target.port
            endpoint.load_balancing_weight.value = target.weight
    return made


def _dialled(workload: Workload, port: int) -> int:
    """Instances of what has no container choose their own port, whichever is asked for."""
    alone = workload.kind is not Kind.CONTAINER and len(workload.ports) == 1
    return workload.ports[0] if alone else port
