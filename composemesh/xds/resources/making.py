"""What is kept while one client's resources are made: which clusters are asked for, and what can't be said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from composemesh.model.origin import NOWHERE, Origin
from composemesh.model.policy import TrafficPolicy
from composemesh.model.problem import Problem, Severity
from composemesh.xds.resources.view import Place

if TYPE_CHECKING:
    from composemesh.model.route import Destination
    from composemesh.xds.resources.node import Node
    from composemesh.xds.resources.view import View

NO_POLICY = TrafficPolicy()


class Making:
    """One generation, under way."""

    def __init__(self, view: View, node: Node) -> None:
        self.view = view
        self.node = node
        self.places: dict[str, Place] = {}
        """By cluster: all that somebody may be led to."""
        self._problems: dict[tuple[str, str], Problem] = {}

    def __repr__(self) -> str:
        return f"<Making for {self.node.id}: {len(self.places)} clusters>"

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(self._problems.values())

    @property
    def redirected(self) -> bool:
        """Whether the client knows where a connection was going."""
        return self.node.redirected and not self.node.proxyless

    def lead(self, destination: Destination, port: int) -> str:
        """The cluster of where a rule leads a request that came to `port`.

        Of a destination that does not exist too: there is a name, and no cluster of it, which callers are told (NC).
        """
        host, subset = destination.host, destination.subset
        said = self.view.snapshot.policies.get(host)
        if host in self.view.known:
            place = Place(host, destination.port or self._port_of(host, port), subset)
        else:
            place = Place(host, destination.port or port, subset)
            if self.view.declared(host, place.port) is None:
                return place.cluster
        if not subset or (said is not None and subset in said.subsets):
            self.want(place)
        return place.cluster

    def want(self, place: Place) -> str:
        """The cluster of a place, which is to be there."""
        self.places[place.cluster] = place
        return place.cluster

    def policy(self, place: Place) -> TrafficPolicy:
        """What is said of calls to a place."""
        said = self.view.snapshot.policies.get(place.host)
        return NO_POLICY if said is None else said.at(place.port, place.subset)

    def cannot(self, what: str, resource: str, origin: Origin = NOWHERE, hint: str = "") -> None:
        """Something that xDS, or this kind of client, has no words for. Told once per resource."""
        where = "proxyless gRPC" if self.node.proxyless else "Envoy"
        self._problems[what, resource] = Problem(
            Severity.WARNING,
            "xds-not-expressed",
            f"{where} cannot be told of {what}.",
            hint or "Calls through the mesh's own sidecar keep it.",
            file=origin.file,
            line=origin.line,
            resource=resource,
        )

    @contextmanager
    def contained(self, resource: str, origin: Origin = NOWHERE) -> Iterator[None]:
        """What of a resource fits no message (a duration of 10,000 years) costs that resource, and is told."""
        from google.protobuf.json_format import ParseError

        try:
            yield
        except (ValueError, ParseError) as problem:
            self.cannot(f"a value that its messages have no room for ({problem})", resource, origin)

    def _port_of(self, host: str, port: int) -> int:
        """The caller's port, unless the service has one other port, and no more."""
        service = self.view.services.get(host)
        known = {each for workload in service.members for each in workload.ports} if service is not None else set()
        return known.pop() if len(known) == 1 and port not in known else port
