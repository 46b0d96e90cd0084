"""Announcements → workloads, and one line on each that cannot be one. Pure.

Whoever is on the network can announce anything. So a name is a DNS label or it is refused, a project's own names are
never given away, an address must be one of the networks that we listen on, and the one who came first keeps a name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from composemesh.model.problem import Problem, Severity
from composemesh.model.workload import HOST, Attachment, Kind, Workload

Network = IPv4Network | IPv6Network

PROTOCOLS = {"_http._tcp": "http", "_grpc._tcp": "http", "_https._tcp": "tcp"}
"""What a service type speaks, as `x-mesh.ports` says it; TLS is passed on, and so are all other types."""
MOST_ADDRESSES = 8
"""Of one announcement; a machine has a few."""
MOST_PROBLEMS = 20
"""A flood is told in so many lines, and one more."""

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_RUBBISH = re.compile(r"[^a-z0-9]+")
_RESERVED = frozenset({"localhost", "local", "host", "gateway", "mesh"})
"""Names that mean something else to applications or to the mesh."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """One service instance (RFC 6763, 4.1), as it was heard."""

    type: str
    """E.g. `_http._tcp`."""
    instance: str
    """Up to 63 bytes of whatever its owner likes."""
    port: int
    addresses: tuple[str, ...]
    txt: Mapping[str, str] = field(default_factory=dict)
    """Of the keys (RFC 6763, 6) those that we know: `service`, `version` and `mesh`."""

    @property
    def id(self) -> str:
        return f"mdns:{self.type}:{self.instance}"


class Unfit(Exception):
    """An announcement that cannot be a workload; the message says why."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the announcements come to."""

    workloads: tuple[Workload, ...] = ()
    problems: tuple[Problem, ...] = ()


def translate(
    announcements: Iterable[Announcement], own: str, taken: Collection[str], networks: Sequence[Network]
) -> Found:
    """Oldest first: the one who came first keeps its name. `own` is the id in what this mesh announces itself;
    `taken` are names of the project's, lowercase; `networks` those of the interfaces that we listen on."""
    members: dict[str, list[Announcement]] = {}
    workloads: list[Workload] = []
    problems: list[Problem] = []
    for each in announcements:
        if each.txt.get("mesh") == own:
            continue
        try:
            service = service_of(each)
            if service in taken:
                raise Unfit(f"the project has a service {service} of its own")
            others = members.setdefault(service, [])
            if others and not _same(others[0], each):
                raise Unfit(
                    f"{service} is {shown(others[0].instance)} already, and they do not both say `service={service}`"
                )
            workload = _workload(each, service, _addresses(each, networks))
        except Unfit as why:
            problems.append(_problem(each, str(why)))
        else:
            others.append(each)
            workloads.append(workload)
    return Found(tuple(workloads), tuple(_bounded(problems)))


def service_of(announcement: Announcement) -> str:
    """The name that callers use: TXT `service`, else the instance's name made a label of DNS. Raises Unfit."""
    said = announcement.txt.get("service", "")
    name = said or _RUBBISH.sub("-", announcement.instance.lower()).strip("-")
    if not _LABEL.fullmatch(name) or name.isdigit():
        raise Unfit(f"{shown(said or announcement.instance)} is no name for a service")
    if name in _RESERVED:
        raise Unfit(f"the name {name} means something else")
    return name


def shown(text: str) -> str:
    """A stranger's words, safe for a log and a terminal, and not too many."""
    return ascii(text if len(text) <= 60 else f"{text[:60]}…")


def _same(first: Announcement, other: Announcement) -> bool:
    """Whether two are instances of one service: both must say so. A name alone is soon copied."""
    return (
        bool(first.txt.get("service"))
        and first.txt.get("service") == other.txt.get("service")
        and first.type == other.type
    )


def _addresses(announcement: Announcement, networks: Sequence[Network]) -> tuple[str, ...]:
    """Those that are where we listen, IPv4 first. Raises Unfit where none is."""
    if not announcement.addresses:
        raise Unfit("it has no address")
    good, bad = [], ""
    for text in announcement.addresses[:MOST_ADDRESSES]:
        try:
            address = ip_address(text)
        except ValueError:
            bad = bad or f"{shown(text)} is no address"
            continue
        why = _astray(address, networks)
        if why:
            bad = bad or f"its address {address} is {why}"
        else:
            good.append(address)
    if not good:
        raise Unfit(bad)
    return tuple(str(each) for each in sorted(good, key=lambda each: each.version))


def _astray(address: IPv4Address | IPv6Address, networks: Sequence[Network]) -> str:
    """Why an address is not one to send anybody to; empty where it is."""
    if address.is_unspecified:
        return "unspecified"
    if address.is_multicast:
        return "for multicast"
    if isinstance(address, IPv6Address) and address.is_link_local:
        return "link-local, which needs an interface besides"
    on = next((network for network in networks if address.version == network.version and address in network), None)
    if on is not None:
        last = address == on.broadcast_address and isinstance(on, IPv4Network) and on.prefixlen < 31
        return "for broadcast" if last else ""
    if address.is_loopback:
        return "this host's own loopback, which is not where it was heard"
    return "on no network of the interfaces that are listened on"


def _workload(announcement: Announcement, service: str, addresses: tuple[str, ...]) -> Workload:
    port, version = announcement.port, announcement.txt.get("version", "")
    if not 0 < port < 65536:
        raise Unfit("it has no port")
    if version and not _VERSION.fullmatch(version):
        raise Unfit(f"{shown(version)} is no name for a version")
    labels = {f"x-mesh.ports.{port}": PROTOCOLS.get(announcement.type, "tcp")}
    if version:
        labels["version"] = version
    return Workload(
        id=announcement.id,
        name=_RUBBISH.sub("-", announcement.instance.lower()).strip("-") or service,
        compose_service=service,
        started=f"{','.join(addresses)} {port}",
        pid=0,
        attachments=(Attachment(HOST, HOST, addresses),),
        ports=(port,),
        labels=labels,
        kind=Kind.FOUND,
    )


def _problem(announcement: Announcement, why: str) -> Problem:
    message = f"mDNS: {shown(announcement.instance)} of {announcement.type} was left out: {why}."
    return Problem(Severity.WARNING, "mdns-left-out", message, resource="mdns")


def _bounded(problems: Sequence[Problem]) -> Iterator[Problem]:
    yield from problems[:MOST_PROBLEMS]
    if len(problems) > MOST_PROBLEMS:
        more = f"mDNS: {len(problems) - MOST_PROBLEMS} more announcements were left out."
        yield Problem(Severity.WARNING, "mdns-left-out", more, resource="mdns")
