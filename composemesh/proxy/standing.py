"""How endpoints stand: which of them are in the best shape, what they are called, and how a caller reaches one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from composemesh.model.workload import FITNESS, HOST, Kind, State
from composemesh.proxy.cluster import Target, reached
from composemesh.routing.labels import labels_of
from composemesh.routing.names import names_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from composemesh.proxy.cluster import Endpoint


def labels_at(endpoint: Endpoint) -> Mapping[str, str]:
    """What rules and subsets compare with theirs."""
    return labels_of(endpoint.workload, endpoint.service, endpoint.peer.version)


def target_of(source: Endpoint, endpoint: Endpoint, host: str) -> Target:
    """How `source` reaches `endpoint`, having asked for `host`: on a network they share, in the same IP version."""
    wanted = ":" in host
    shared = [
        address
        for place in endpoint.workload.attachments
        if place.network == HOST or place.network in source.networks
        for address in place.addresses
    ]
    matching = [address for address in shared if (":" in address) == wanted] or shared
    address = host if host in shared else matching[0]
    target = reached(endpoint, address, source)
    if endpoint.workload.kind is not Kind.CONTAINER and len(endpoint.workload.ports) == 1:
        target.ports = Only(*endpoint.workload.ports)
    return target


class Only(dict[int, int]):
    """The one port that there is, whichever was asked for: instances of what has no container choose their own."""

    def __init__(self, port: int) -> None:
        super().__init__({port: port})
        self._port = port

    def get(self, key: int, default: object = None) -> int:
        return self._port


def fittest(endpoints: list[Endpoint]) -> list[Endpoint]:
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
    return FITNESS[endpoint.workload.health]


def names_one(endpoint: Endpoint, name: str) -> bool:
    """Whether a name means this endpoint, and not its service, even where it is the only one."""
    workload = endpoint.workload
    return name != endpoint.service and name.strip("[]") in {
        workload.compose_service,
        workload.name,
        *workload.addresses,
    }


def called(endpoints: list[Endpoint]) -> dict[bytes, list[Endpoint]]:
    """Names that a Host may carry → the endpoints meant: a Compose service, a container, an alias, an address."""
    names: dict[bytes, list[Endpoint]] = {}
    for endpoint in endpoints:
        workload = endpoint.workload
        for name in {workload.name.lower(), *names_of(workload), *workload.addresses}:
            bracketed = f"[{name}]" if ":" in name else name
            names.setdefault(bracketed.encode(), []).append(endpoint)
    return names
