"""Who declares a host: the ServiceEntries, as our own sidecar and what is told to an Envoy both look them up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from composemesh.routing.hosts import canonical, matches

if TYPE_CHECKING:
    from composemesh.model.entry import EntryPort, ServiceEntry


class Declared(NamedTuple):
    """A host, and the entry that declares the port that is asked for."""

    host: str
    """Canonical, as declared: `*.x` for all that this matches."""
    entry: ServiceEntry
    port: EntryPort | None
    """None where the entry lists no ports, or none is asked for: then it is any."""


class Declarations:
    """The hosts of all entries."""

    __slots__ = ("_patterns", "hosts")

    def __init__(self, entries: Iterable[ServiceEntry] = ()) -> None:
        self.hosts: dict[str, list[ServiceEntry]] = {}
        """Canonical hosts, and who declares each, in the order of the entries."""
        for entry in entries:
            for host in entry.hosts:
                self.hosts.setdefault(canonical(host), []).append(entry)
        self._patterns = sorted((host for host in self.hosts if host.startswith("*")), key=lambda host: -len(host))

    def __repr__(self) -> str:
        return f"<Declarations of {len(self.hosts)} hosts>"

    def find(self, host: str, port: int = 0) -> Declared | None:
        """Who declares a canonical host, by its name or else by the longest pattern, with this port (0 for any)."""
        if host in self.hosts:
            return self.with_port(host, port)
        fitting = (self.with_port(pattern, port) for pattern in self._patterns if matches(pattern, host))
        return next(filter(None, fitting), None)

    def with_port(self, host: str, port: int) -> Declared | None:
        """The first entry of a host, as it was declared, that has this port (0 for any)."""
        for entry in self.hosts[host]:
            if not entry.ports or not port:
                return Declared(host, entry, None)
            for said in entry.ports:
                if said.number == port:
                    return Declared(host, entry, said)
        return None
