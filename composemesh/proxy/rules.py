"""The rules that one caller may meet on its way to one place, and where they lead. Look-ups; `resolve` decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from composemesh.model.route import MESH
from composemesh.routing.hosts import canonical, matches
from composemesh.routing.request import Opening
from composemesh.routing.resolve import resolve_connection
from composemesh.routing.table import MOST_HOSTS

if TYPE_CHECKING:
    from composemesh.model.route import Destination
    from composemesh.proxy.cluster import Cluster
    from composemesh.routing.resolve import ConnectionCandidate, HttpCandidate
    from composemesh.routing.table import Table

Find = Callable[["Destination"], "Cluster | None"]
"""The cluster of a destination, as this caller reaches it; None where there is no such destination."""


class Led(NamedTuple):
    """Where rules lead a connection that is passed on as it is."""

    cluster: Cluster | None
    """None where there is no such destination."""
    port: int
    route: str
    """The rule, as records name it."""


class Met(NamedTuple):
    """The rules that a request may meet."""

    candidates: tuple[HttpCandidate, ...]
    plain: bool
    """Whether each of them only chooses a destination that there is, and changes fields."""


class Rules:
    """Bound to a caller, or a gateway, and to an address. Made once a plan, like the cluster that it belongs to."""

    __slots__ = ("_connections", "_find", "_host", "_http", "_led", "_served", "_table", "gateway", "labels")

    def __init__(
        self,
        table: Table,
        find: Find,
        labels: Mapping[str, str],
        *,
        host: str = "",
        gateway: str = MESH,
        served: tuple[str, ...] = ("*",),
    ) -> None:
        self._table = table
        self._find = find
        self._host = host
        """Whose rules they are: the service that the address belongs to; empty where the request has to say."""
        self._served = served
        """The hosts of a gateway's server, which are all that it serves."""
        self.labels = labels
        """The caller's; none at a gateway."""
        self.gateway = gateway
        self._http: dict[tuple[str, int], Met] = {}
        self._connections: dict[tuple[str, int, bool], tuple[ConnectionCandidate, ...]] = {}
        self._led: dict[tuple[Destination, int], tuple[Cluster, int] | None] = {}

    def __repr__(self) -> str:
        return f"<Rules of {self._host or 'any host'} at {self.gateway}>"

    @property
    def required(self) -> bool:
        """Whether a request that meets no rule goes nowhere: a gateway has no place of its own to send it to."""
        return self.gateway != MESH

    def http(self, authority: bytes, port: int) -> Met:
        """The rules for a request. Those of other callers and ports are left out here, as Istio leaves them out:
        where no other is left, there are no rules, and the request goes where it was going."""
        host = self._host or _name(authority)
        found = self._http.get((host, port))
        if found is None:
            candidates = tuple(each for each in self._of(host) if each.concerns(self.gateway, port, self.labels))
            found = Met(candidates, all(self._is_plain(each, port) for each in candidates))
            if len(self._http) >= MOST_HOSTS:
                self._http.clear()
            self._http[host, port] = found
        return found

    def plain(self, port: int) -> bool:
        """Whether none but plain rules (see `HttpRule`) can be met by what is sent to `port`, whomever it names."""
        return bool(self._host) and self.http(b"", port).plain

    def connections(self, name: str, port: int, *, tls: bool) -> tuple[ConnectionCandidate, ...]:
        """The same for a connection that is passed on as it is: `tls` rules, or `tcp` rules."""
        host = self._host or name or "*"
        found = self._connections.get((host, port, tls))
        if found is None:
            rules = self._table.connections(host, self.gateway, tls=tls) if self._serves(host) else ()
            found = tuple(each for each in rules if each.concerns(self.gateway, port, self.labels))
            if len(self._connections) >= MOST_HOSTS:
                self._connections.clear()
            self._connections[host, port, tls] = found
        return found

    def lead(self, address: str, port: int, *, sni: str = "", tls: bool = False, host: str = "") -> Led | None:
        """Where a connection to an address goes, by `tcp` rules or by `tls` rules; None where no rule has a say.

        `host`: whose rules, where neither the address nor the server's name says it.
        """
        candidates = self.connections(sni or host, port, tls=tls)
        if not candidates:
            return None
        opening = Opening(address, port, sni=sni, gateway=self.gateway, source_labels=self.labels)
        decision = resolve_connection(candidates, opening)
        if decision is None:
            return None
        led = None if decision.arm is None else self.destination(decision.arm.destination, port)
        cluster, to = led or (None, port)
        return Led(cluster, to, decision.candidate.name)

    def reads_server_names(self, port: int) -> bool:
        """Whether it may matter which server a TLS client asks for."""
        return bool(self._host and self.connections("", port, tls=True))

    def destination(self, destination: Destination, port: int) -> tuple[Cluster, int] | None:
        """Where a rule leads a request that came to `port`, and the port to dial there; None where nowhere.

        A destination that names no port has the caller's, unless it is a service with one other port, and no more.
        """
        key = (destination, port)
        try:
            return self._led[key]
        except KeyError:
            cluster = self._find(destination)
            led = None if cluster is None else (cluster, destination.port or _port_of(cluster, port))
            if len(self._led) >= MOST_HOSTS:
                self._led.clear()
            self._led[key] = led
            return led

    def _is_plain(self, candidate: HttpCandidate, port: int) -> bool:
        arms = candidate.rule.destinations
        if not candidate.rule.plain or (len(arms) > 1 and not candidate.total):
            return False
        return all(self.destination(arm.destination, port) is not None for arm in arms)

    def _of(self, host: str) -> tuple[HttpCandidate, ...]:
        return self._table.http(host, self.gateway) if self._serves(host) else ()

    def _serves(self, host: str) -> bool:
        return any(matches(served, host) for served in self._served)


def _name(authority: bytes) -> str:
    """The canonical host of an authority, without its port."""
    host, colon, port = authority.rpartition(b":")
    return canonical((host if colon and port.isdigit() else authority).decode("latin-1"))


def _port_of(cluster: Cluster, port: int) -> int:
    known = {each for target in cluster.targets for each in target.endpoint.workload.ports}
    return known.pop() if len(known) == 1 and port not in known else port
