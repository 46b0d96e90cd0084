"""One resource as it is handed out: opaque bytes, with a version that its content makes."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from composemesh.xds import protos

if TYPE_CHECKING:
    from composemesh.model.problem import Problem

CLUSTER = protos.TYPE_URL + "envoy.config.cluster.v3.Cluster"
ENDPOINT = protos.TYPE_URL + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = protos.TYPE_URL + "envoy.config.listener.v3.Listener"
ROUTE = protos.TYPE_URL + "envoy.config.route.v3.RouteConfiguration"


class Resource(NamedTuple):
    """A message of Envoy's API, ready to be sent."""

    name: str
    version: str
    """The first digits of the SHA-256 of its bytes: equal content has the same version in every run of the mesh."""
    any_bytes: bytes
    """A serialised google.protobuf.Any."""

    def __repr__(self) -> str:
        return f"<Resource {self.name} {self.version}>"


class Generated(dict[str, dict[str, Resource]]):
    """All resources of one client, by type URL and name; and what could not be said in them."""

    __slots__ = ("memory", "problems")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.problems: tuple[Problem, ...] = ()
        self.memory: Any = None
        """What the next generation may take over from this one."""


def packed(message: Any, name: str) -> Resource:
    """A message as a resource of that name."""
    content = message.SerializeToString(deterministic=True)
    carrier = protos.message("google.protobuf.Any")()
    carrier.type_url = protos.TYPE_URL + message.DESCRIPTOR.full_name
    carrier.value = content
    return Resource(name, sha256(content).hexdigest()[:16], carrier.SerializeToString(deterministic=True))


def pack(into: Any, message: Any) -> None:
    """Put a message into a field of the type Any."""
    into.type_url = protos.TYPE_URL + message.DESCRIPTOR.full_name
    into.value = message.SerializeToString(deterministic=True)
