"""Clusters of what is not a service of the project: hosts of entries, addresses that nothing declares, and a wall.

An address alone often does not say which host is meant; the request does, or a TLS client's first words. So the
cluster of an outside address is asked again by name (`Cluster.named`), and only that answer counts: whose rules
apply, what the record says, and whether the caller may go there at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from composemesh.model.flag import Flag
from composemesh.model.peer import Peer, PeerKind
from composemesh.proxy.cluster import Cluster, Endpoint, Spoken, Target
from composemesh.proxy.entries import kind_of
from composemesh.proxy.refuse import Refused
from composemesh.routing.hosts import canonical

if TYPE_CHECKING:
    from composemesh.proxy.egress import Egress
    from composemesh.proxy.entries import Entries
    from composemesh.proxy.policies import ByPort
    from composemesh.proxy.rules import Rules
    from composemesh.routing.declared import Declared
    from composemesh.routing.names import Names

NO_LABELS: Final[Mapping[str, str]] = {}
MOST_KEPT: Final = 4096
"""Clusters that a plan keeps; one that is missing is made again."""
MOST_NAMED: Final = 256
"""Hosts that were asked for at one address."""


class Bound:
    """What a plan lends: where its own workloads are, and what is said of a host."""

    def __init__(
        self,
        local: Callable[[Endpoint, str], Endpoint | None],
        selected: Callable[[Endpoint, Mapping[str, str]], Sequence[Endpoint]],
        policies: Callable[[str, str], ByPort | None],
        rules: Callable[[Endpoint, str, str], Rules | None],
    ) -> None:
        self.local = local
        self.selected = selected
        self.policies = policies
        self.rules = rules


class Outside:
    """Everything outside, as one plan sees it."""

    def __init__(self, entries: Entries, egress: Egress, names: Names, bound: Bound) -> None:
        self._entries = entries
        self._egress = egress
        self._names = names
        self._bound = bound
        self._kept: dict[tuple[tuple[str, str], str, int], Cluster] = {}
        self.strict = egress.strict
        """Whether services of the project may be hidden from any caller at all: nearly never."""
        self.declares = bool(entries)
        """Whether there is any entry that a name could lead to."""

    def __repr__(self) -> str:
        return f"<Outside {len(self._kept)} kept>"

    def at(self, source: Endpoint, address: str, port: int) -> Cluster:
        """What `source` means by an address that is no service's: a declared host's, or the address itself."""
        key = (source.workload.life, address, port)
        return self._kept.get(key) or self._keep(key, Somewhere(self, source, address, port))

    def meant(self, source: Endpoint, host: str, port: int) -> Cluster | None:
        """The cluster of a host that has a virtual address; None where no entry declares it."""
        if self._entries.find(host) is None:
            return None
        key = (source.workload.life, host, port)
        cluster = self._kept.get(key)
        if cluster is None:
            declared = self.of_host(source, host, port)
            if declared is not None:
                cluster = self.declared(source, declared, "")
            elif self._egress.registry_only(source):
                cluster = self.blocked(source, host, port)
            else:
                cluster = Portless(host, port)
            self._keep(key, cluster)
        return cluster

    def destination(
        self, source: Endpoint, host: str, port: int, address: str, labels: Mapping[str, str], subset: str
    ) -> Cluster | None:
        """The cluster of a host that a rule leads to; None where no entry declares it."""
        declared = self._entries.find(host, port)
        return None if declared is None else self.declared(source, declared, address, labels, subset)

    def of_address(self, source: Endpoint, address: str, port: int) -> Declared | None:
        """Who declares this address as its own."""
        return self._included(source, self._entries.at(address, port), port)

    def learned(self, source: Endpoint, address: str, port: int) -> Declared | None:
        """Who declares the host that was last found at this address. Others may share it."""
        host = self._names.learned_host(address)
        return None if host is None else self.of_host(source, host, port)

    def of_host(self, source: Endpoint, host: str, port: int) -> Declared | None:
        """Who declares a host that a virtual address, a request or a TLS client has named."""
        return self._included(source, self._entries.find(host, port), port)

    def declared(
        self,
        source: Endpoint,
        declared: Declared,
        address: str,
        labels: Mapping[str, str] = NO_LABELS,
        subset: str = "",
    ) -> Cluster:
        """The cluster of a declared host. `address`: where the caller was going, empty for a virtual one."""
        bound, host = self._bound, declared.host
        selector = declared.entry.workload_selector
        selected = bound.selected(source, {**selector, **labels}) if selector else ()
        targets = self._entries.targets(
            declared,
            source,
            address,
            lambda there: bound.local(source, there),
            selected,
            labels,
        )
        cluster = Cluster(host, targets, self._entries.spoken(host), bound.policies(host, subset), address)
        cluster.unreached = _outside(host, kind_of(declared.entry))
        cluster.rules = bound.rules(source, host, address)
        return cluster

    def best(self, source: Endpoint, declared: Declared | None, address: str, port: int, host: str = "") -> Cluster:
        """The cluster of a declared host; else of the address itself, if the caller may go there."""
        if declared is not None:
            return self.declared(source, declared, address)
        if self._egress.registry_only(source):
            return self.blocked(source, host or address, port)
        cluster = Cluster(address, self.passed(source, address), Spoken(), asked=address)
        cluster.unreached = _outside(address)
        cluster.rules = self._bound.rules(source, "", address)
        return cluster

    def blocked(self, source: Endpoint, host: str, port: int) -> Cluster:
        """The wall. Rules may still lead around it, to hosts that are declared."""
        cluster = Blocked(self._egress, source, host, port)
        cluster.rules = self._bound.rules(source, "", host)
        return cluster

    def passed(self, source: Endpoint, address: str) -> tuple[Target, ...]:
        """The address itself, dialled from where the source stands."""
        assert source.captured is not None, "only a captured workload has an outbound listener"
        endpoint = Endpoint(source.workload, _outside(address))
        return (Target(endpoint, address, source.captured.namespace, source.pools),)

    def hides(self, source: Endpoint, service: str, port: int) -> bool:
        """Whether a service of the project itself is none of those that `source` may call (Istio's Sidecar)."""
        egress = self._egress
        return egress.registry_only(source) and not egress.includes(source, service, port)

    def _keep(self, key: tuple[tuple[str, str], str, int], cluster: Cluster) -> Cluster:
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[key] = cluster
        return cluster

    def _included(self, source: Endpoint, declared: Declared | None, port: int) -> Declared | None:
        """The same, if it counts as declared for this caller. Where all hosts are allowed, none is left out."""
        egress = self._egress
        if declared is None or not egress.registry_only(source) or egress.includes(source, declared.host, port):
            return declared
        return None


class Somewhere(Cluster):
    """An outside address, before it is known which host is meant: as good as the address says, better by name."""

    __slots__ = ("_address", "_known", "_named", "_outside", "_port", "_source")

    def __init__(self, outside: Outside, source: Endpoint, address: str, port: int) -> None:
        self._outside = outside
        self._source = source
        self._address = address
        self._port = port
        self._named: dict[bytes, Cluster] = {}
        declared = outside.of_address(source, address, port)
        self._known = declared is not None
        """Whether the address alone says it, whatever a request may name."""
        best = outside.best(source, declared or outside.learned(source, address, port), address, port)
        super().__init__(best.service, best.targets, best.spoken, best.policies, address)
        self.rules, self.unreached = best.rules, best.unreached

    @property
    def ambiguous(self) -> bool:
        return not self._known and (not self.targets or self._outside.declares)

    def named(self, authority: bytes) -> Cluster:
        cluster = self._named.get(authority)
        if cluster is None:
            if len(self._named) >= MOST_NAMED:
                self._named.clear()
            cluster = self._named[authority] = self._by_name(_host(authority))
        return cluster

    def nobody(self) -> Refused:
        meant = self.named(b"")
        return super().nobody() if meant is self else meant.nobody()

    def _by_name(self, host: str) -> Cluster:
        outside, source, port = self._outside, self._source, self._port
        declared = outside.of_host(source, host, port) if host else None
        if declared is None and self._known:
            return self
        if declared is None and not host:
            declared = outside.learned(source, self._address, port)
        if declared is not None and declared.host == self.service:
            return self
        if declared is None and self.service == self._address and self.targets:
            return self
        return outside.best(source, declared, self._address, port, host)


class Portless(Cluster):
    """A virtual address, at a port that its host does not have: there is nowhere to pass it on to."""

    __slots__ = ("_port",)

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, (), Spoken())
        self.unreached = _outside(host)
        self._port = port

    def nobody(self) -> Refused:
        return Refused(Flag.NO_ROUTE_FOUND, f"{self.service} declares no port {self._port}", 502)


class Blocked(Cluster):
    """Where a caller may not go. It is told so, and so is whoever reads the mesh's problems."""

    __slots__ = ("_egress", "_port", "_source")

    def __init__(self, egress: Egress, source: Endpoint, host: str, port: int) -> None:
        super().__init__(host, (), Spoken())
        self.unreached = _outside(host)
        self._egress = egress
        self._source = source.service
        self._port = port

    def nobody(self) -> Refused:
        self._egress.note(self._source, self.service, self._port)
        detail = f"{self._source} calls {self.service}:{self._port}, which nothing declares (egress is registry_only)"
        return Refused(Flag.NO_ROUTE_FOUND, detail, 502)


def _outside(host: str, kind: PeerKind = PeerKind.EXTERNAL) -> Peer:
    return Peer(host, "unknown", "unknown", kind, captured=False)


def _host(authority: bytes) -> str:
    """The canonical host of an authority, or of a server name; without brackets, as addresses are written."""
    host, colon, port = authority.rpartition(b":")
    text = (host if colon and port.isdigit() else authority).decode("latin-1")
    return canonical(text.strip("[]"))
