"""The types of resources, as a table: what they are called, and what a client takes their absence for."""

from __future__ import annotations

from dataclasses import dataclass

from composemesh.xds import protos
from composemesh.xds.resources.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, Resource, packed


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One type of resource."""

    url: str
    word: str
    """As people say it: in `status`, in a Problem, in the path of REST (with an `s`)."""
    whole: bool = False
    """A state-of-the-world answer holds all of them, and what it lacks is deleted (Envoy's LDS and CDS). Of the
    others it holds what has changed, and a client that asks for a name waits until it hears of it."""
    names_itself: str = ""
    """The field in which a resource says its own name."""

    def empty(self, name: str) -> Resource | None:
        """What ends a client's wait for a name that there is not; None where an answer without it does that."""
        if not self.names_itself:
            return None
        return packed(protos.message(self.url.removeprefix(protos.TYPE_URL))(**{self.names_itself: name}), name)


TYPES = {
    each.url: each
    for each in (
        ResourceType(CLUSTER, "cluster", whole=True),
        ResourceType(ENDPOINT, "endpoint", names_itself="cluster_name"),
        ResourceType(LISTENER, "listener", whole=True),
        ResourceType(ROUTE, "route", names_itself="name"),
    )
}
"""In the order in which they are pushed: a route may name a cluster once the client has it, endpoints and all."""


def type_of(url: str) -> ResourceType:
    """What a type URL names. A type that nobody serves is treated like the others: there are no resources of it."""
    return TYPES.get(url) or ResourceType(url, url.rpartition(".")[2][:40])
