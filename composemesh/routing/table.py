"""All rules of a snapshot, compiled, by host and gateway. Every caller shares them; what runs is of no concern here.

Rules are compiled when they are first asked for, and those that a change of the configuration leaves as they were are
kept with all that they have become: their place in a split, and what the proxy has made of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from composemesh.model.route import MESH, VirtualHost
from composemesh.routing.hosts import most_specific
from composemesh.routing.resolve import ConnectionCandidate, HttpCandidate, candidates, connection_candidates

MOST_HOSTS = 4096
"""Look-ups that are remembered. At a gateway, and for addresses outside the project, the client names the host."""


class Table:
    """Look-ups of rules. Makes no decision: that is `resolve`'s."""

    def __init__(self, virtual_hosts: Sequence[VirtualHost] = (), previous: Table | None = None) -> None:
        self.virtual_hosts = virtual_hosts
        known = {} if previous is None else previous._by_name()
        self._compiled = [_kept(host, known.get((host.origin, host.hosts))) for host in virtual_hosts]
        self._exact: dict[str, list[_Compiled]] = {}
        self._patterns: list[_Compiled] = []
        for compiled in self._compiled:
            for host in compiled.host.hosts:
                if not host.startswith("*"):
                    self._exact.setdefault(host, []).append(compiled)
            if any(host.startswith("*") for host in compiled.host.hosts):
                self._patterns.append(compiled)
        self._http: dict[tuple[str, str], tuple[HttpCandidate, ...]] = {}
        self._connections: dict[tuple[str, str, bool], tuple[ConnectionCandidate, ...]] = {}

    def __repr__(self) -> str:
        return f"<Table {len(self._compiled)} virtual hosts>"

    def http(self, host: str, gateway: str = MESH) -> tuple[HttpCandidate, ...]:
        """What may become of HTTP requests to a canonical host, in order of precedence."""
        found = self._http.get((host, gateway))
        if found is None:
            found = tuple(each for compiled in self._meant(host, gateway) for each in compiled.http(gateway))
            _remember(self._http, (host, gateway), found)
        return found

    def connections(self, host: str, gateway: str = MESH, *, tls: bool) -> tuple[ConnectionCandidate, ...]:
        """The same for connections: the `tls` rules, or the `tcp` rules."""
        found = self._connections.get((host, gateway, tls))
        if found is None:
            found = tuple(
                each for compiled in self._meant(host, gateway) for each in compiled.connections(gateway, tls)
            )
            _remember(self._connections, (host, gateway, tls), found)
        return found

    def names(self, host: str) -> bool:
        """Whether rules for sidecars name this host as it stands, and not by a pattern."""
        return any(MESH in compiled.gateways for compiled in self._exact.get(host, ()))

    def speaks_of(self, host: str) -> bool:
        """Whether there are any rules for a host, as sidecars meet them."""
        return bool(self.http(host) or self.connections(host, tls=True) or self.connections(host, tls=False))

    def binds(self, gateway: str = MESH) -> bool:
        """Whether there are any rules at all for a gateway, or for sidecars."""
        return any(gateway in compiled.gateways for compiled in self._compiled)

    def _meant(self, host: str, gateway: str) -> list[_Compiled]:
        """Those that name the host in the most specific way, among those that the gateway may meet."""
        exact = [compiled for compiled in self._exact.get(host, ()) if gateway in compiled.gateways]
        if exact:
            return exact
        bound = {id(compiled.host): compiled for compiled in self._patterns if gateway in compiled.gateways}
        chosen = most_specific([compiled.host for compiled in bound.values()], host)
        return [bound[id(virtual)] for virtual in chosen]

    def _by_name(self) -> dict[object, _Compiled]:
        return {(compiled.host.origin, compiled.host.hosts): compiled for compiled in self._compiled}


class _Compiled:
    """One virtual host, with what has been compiled of it."""

    __slots__ = ("_connections", "_http", "gateways", "host")

    def __init__(self, host: VirtualHost) -> None:
        self.host = host
        self.gateways = frozenset(host.gateways).union(
            *(match.gateways for rule in host.http for match in rule.matches),
            *(match.gateways for rule in (*host.tls, *host.tcp) for match in rule.matches),
        )
        """All by which any of its rules may be met."""
        self._http: dict[str, tuple[HttpCandidate, ...]] = {}
        self._connections: dict[tuple[str, bool], tuple[ConnectionCandidate, ...]] = {}

    def http(self, gateway: str) -> tuple[HttpCandidate, ...]:
        if gateway not in self._http:
            self._http[gateway] = candidates([self.host], gateway)
        return self._http[gateway]

    def connections(self, gateway: str, tls: bool) -> tuple[ConnectionCandidate, ...]:
        if (gateway, tls) not in self._connections:
            self._connections[gateway, tls] = connection_candidates([self.host], gateway, tls=tls)
        return self._connections[gateway, tls]


def _kept(host: VirtualHost, before: _Compiled | None) -> _Compiled:
    return before if before is not None and before.host == host else _Compiled(host)


def _remember(memory: dict, key: object, value: object) -> None:  # type: ignore[type-arg]
    if len(memory) >= MOST_HOSTS:
        memory.clear()
    memory[key] = value
