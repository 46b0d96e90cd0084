"""The kinds of resources, as a table: what they are called, and what a client takes their absence for."""

from __future__ import annotations

from dataclasses import dataclass

from composemesh.xds import protos
from composemesh.xds.resources.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, Resource, packed


@dataclass(frozen=True, slots=True)
class Kind:
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


KINDS = {
    kind.url: kind
    for kind in (
        Kind(CLUSTER, "cluster", whole=True),
        Kind(ENDPOINT, "endpoint", names_itself="cluster_name"),
        Kind(LISTENER, "listener", whole=True),
        Kind(ROUTE, "route", names_itself="name"),
    )
}
"""In the order in which they are pushed: a route may name a cluster once the client has it, endpoints and all."""


def kind_of(url: str) -> Kind:
    """The kind of this type; one that nobody serves is treated like the others, only there are no resources of it."""
    return KINDS.get(url) or Kind(url, url.rpartition(".")[2][:40])
