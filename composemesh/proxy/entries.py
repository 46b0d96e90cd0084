"""ServiceEntries, bound: which of them a host or an address means, and where their endpoints are for one caller."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from math import gcd

from composemesh.model.entry import EntryEndpoint, Location, Resolution, ServiceEntry
from composemesh.model.peer import Peer, PeerKind
from composemesh.model.snapshot import Protocol
from composemesh.model.workload import HOST, Workload
from composemesh.proxy.cluster import Endpoint, Spoken, Target, reached
from composemesh.proxy.resolutions import Resolutions
from composemesh.routing.declared import Declarations, Declared
from composemesh.routing.hosts import canonical
from composemesh.routing.labels import has
from composemesh.runtime.addresses import is_address

MOST_SHARES = 100
"""Turns that weighted endpoints share out among them: a weight is exact to a hundredth."""

Local = Callable[[str], Endpoint | None]
"""The workload that an address means to the caller, if it is one of the project's."""

_BY_NAME = frozenset({Resolution.DNS, Resolution.DNS_ROUND_ROBIN})
_TLS = frozenset({"https", "tls"})
_HTTP = frozenset({"http", "http2", "grpc", "grpc-web"})


class Entries:
    """All entries of the mesh. Survives every change, and so do the endpoints with their counters."""

    def __init__(self) -> None:
        self.resolutions = Resolutions()
        self._entries: tuple[ServiceEntry, ...] = ()
        self._declared = Declarations()
        self._addresses: list[tuple[IPv4Network | IPv6Network, str]] = []
        """The narrowest first."""
        self._themselves: list[str] = []
        """Hosts without endpoints, which are where their own names lead."""
        self._endpoints: dict[tuple[str, str, str], Endpoint] = {}
        self._spoken: dict[str, Spoken] = {}

    def __repr__(self) -> str:
        return f"<Entries {len(self._declared.hosts)} hosts, {len(self._endpoints)} endpoints, {self.resolutions!r}>"

    def __bool__(self) -> bool:
        return bool(self._entries)

    def update(self, entries: tuple[ServiceEntry, ...]) -> None:
        """Take these and no others. Costs nothing where nothing has changed."""
        if entries is self._entries:
            return
        self._entries = entries
        self._declared = Declarations(entries)
        hosts = self._declared.hosts
        addresses = [
            (ip_network(address, strict=False), canonical(host))
            for entry in entries
            for host in entry.hosts
            for address in entry.addresses
        ]
        self._addresses = sorted(addresses, key=lambda each: -each[0].prefixlen)
        self._themselves = [
            host
            for host, said in hosts.items()
            if not host.startswith("*")
            if any(each.resolution in _BY_NAME and not _has_endpoints(each) for each in said)
        ]
        self._spoken = {host: _spoken(said, self._spoken.get(host)) for host, said in hosts.items()}
        # An endpoint that is declared no more has nothing to close: its connections are its callers'.
        self._endpoints = {key: each for key, each in self._endpoints.items() if key[0] in hosts}

    @property
    def lives(self) -> Iterator[tuple[str, str]]:
        """What endpoints are known by to those who keep something against them."""
        return (endpoint.workload.life for endpoint in self._endpoints.values())

    @property
    def names(self) -> Iterator[str]:
        """Names that are to be looked up."""
        yield from self._themselves
        for entry in self._entries:
            if entry.resolution in _BY_NAME:
                yield from (each.address for each in entry.endpoints if not is_address(each.address))

    def found(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Hosts that stand for themselves, and where they were found: callers may have known before we did."""
        found = self.resolutions.everywhere()
        return ((host, found.get(host, ())) for host in self._themselves)

    def find(self, host: str, port: int = 0) -> Declared | None:
        """Who declares a canonical host, by its name or else by the longest pattern, with this port (0 for any)."""
        return self._declared.find(host, port)

    def at(self, address: str, port: int) -> Declared | None:
        """Who declares an address as its own."""
        if not self._addresses:
            return None
        wanted = ip_address(address)
        for network, host in self._addresses:
            if wanted in network and (found := self._declared.with_port(host, port)) is not None:
                return found
        return None

    def spoken(self, host: str) -> Spoken:
        """What the ports of a declared host speak."""
        return self._spoken[host]

    # === endpoints ===

    def targets(
        self,
        declared: Declared,
        source: Endpoint,
        address: str,
        local: Local,
        selected: Sequence[Endpoint],
        labels: Mapping[str, str],
    ) -> tuple[Target, ...]:
        """Where the host is for `source`, which asked for `address` (empty where only a rule led here).

        `selected` are the workloads that the entry's selector picks. `labels`: of the endpoints of a subset.
        """
        entry = declared.entry
        if entry.resolution is Resolution.NONE and not entry.workload_selector:
            endpoint = Endpoint(source.workload, self._peer(declared, ""))
            return (_placed(endpoint, address, source, declared, {}),) if address else ()
        picked = [self._selected(declared, each) for each in selected]
        placed = [(_placed(each, _address(each, source), source, declared, {}), 1) for each in picked]
        placed += [
            (self._at(declared, said, there, source, local), max(said.weight, 1))
            for said, there in self._located(declared, source, address)
            if has(said.labels, labels)
        ]
        return _shared(placed)

    def _located(self, declared: Declared, source: Endpoint, address: str) -> Iterator[tuple[EntryEndpoint, str]]:
        """Endpoints, and the addresses at which each is."""
        entry, one = declared.entry, declared.entry.resolution is Resolution.DNS_ROUND_ROBIN
        itself = () if entry.workload_selector else (EntryEndpoint(declared.host),)
        for said in entry.endpoints or itself:
            if is_address(said.address):
                yield said, said.address
            elif entry.resolution is not Resolution.STATIC:
                found = _fitting(self.resolutions.addresses(said.address, source), source)
                yield from ((said, each) for each in (found[:1] if one else sorted(found)))
                if not found and not entry.endpoints and address:
                    yield said, address  # the caller has just looked it up itself

    def _at(
        self,
        declared: Declared,
        said: EntryEndpoint,
        address: str,
        source: Endpoint,
        local: Local,
    ) -> Target:
        workload = local(address)
        if workload is not None:
            return _placed(self._selected(declared, workload), address, source, declared, said.ports)
        key = (declared.host, address, "")
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            ports = tuple(sorted({port.number for port in declared.entry.ports}))
            place = Workload(f"{declared.host} {address}", address, declared.host, "", 0, ports=ports)
            peer = self._peer(declared, address, said.labels.get("version", ""))
            endpoint = self._endpoints[key] = Endpoint(place, peer)
        return _placed(endpoint, address, source, declared, said.ports)

    def _selected(self, declared: Declared, workload: Endpoint) -> Endpoint:
        """A workload of the project, as it is called by the entry's host."""
        key = (declared.host, *workload.workload.life)
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            peer = workload.peer
            kind = kind_of(declared.entry)
            named = Peer(declared.host, peer.version, peer.workload, kind, captured=peer.captured)
            endpoint = self._endpoints[key] = Endpoint(workload.workload, named)
        endpoint.workload, endpoint.captured, endpoint.pools = workload.workload, workload.captured, workload.pools
        return endpoint

    def _peer(self, declared: Declared, address: str, version: str = "") -> Peer:
        return Peer(
            declared.host, version or "unknown", address or "unknown", kind_of(declared.entry), captured=False
        )


def kind_of(entry: ServiceEntry) -> PeerKind:
    """What the hosts of an entry are in the graph."""
    return PeerKind.EXTERNAL if entry.location is Location.EXTERNAL else PeerKind.SERVICE


def _has_endpoints(entry: ServiceEntry) -> bool:
    return bool(entry.endpoints or entry.workload_selector)


def _spoken(entries: list[ServiceEntry], before: Spoken | None) -> Spoken:
    """What ports are declared to speak, and what the others were found to.

    Of TLS it is not enough to pass it on: its client's first words say which of several hosts at an address is meant.
    """
    spoken = Spoken()
    if before is not None:
        spoken.learned = before.learned
    for entry in entries:
        for port in entry.ports:
            if port.protocol and port.protocol not in _TLS:
                spoken.declared[port.number] = Protocol.HTTP if port.protocol in _HTTP else Protocol.TCP
    return spoken


def _placed(
    endpoint: Endpoint,
    address: str,
    source: Endpoint,
    declared: Declared,
    ports: Mapping[str, int],
) -> Target:
    """The endpoint as `source` reaches it: from inside where it is a captured workload, else as the source would."""
    target = reached(endpoint, address, source)
    target.ports = {port.number: ports.get(port.name) or port.target or port.number for port in declared.entry.ports}
    return target


def _shared(placed: Sequence[tuple[Target, int]]) -> tuple[Target, ...]:
    """Each target as often as its weight says, relative to the others'."""
    weights = [weight for _, weight in placed]
    if len(set(weights)) < 2:
        return tuple(target for target, _ in placed)
    unit = max(reduce(gcd, weights), sum(weights) / MOST_SHARES)
    return tuple(target for target, weight in placed for _ in range(max(round(weight / unit), 1)))


def _address(endpoint: Endpoint, source: Endpoint) -> str:
    """The first address of a workload on a network that the source is on, too."""
    places = endpoint.workload.attachments
    shared = (place for place in places if place.network == HOST or place.network in source.networks)
    return next(address for place in shared for address in place.addresses)


def _fitting(addresses: Sequence[str], source: Endpoint) -> Sequence[str]:
    """Without those of a family that the source has no address of, as long as others are left."""
    if any(":" in own for own in source.workload.addresses):
        return addresses
    return [address for address in addresses if ":" not in address] or addresses
