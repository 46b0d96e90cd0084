"""What capture says to the kernel: the text of one nat transaction, to put rules in place and to take them out.

The kernel consults the nat table for the first packet of a connection only. Both jumps therefore ask for a SYN:
when connection tracking awakes with our rules it takes up connections that were open before in the middle, as new
ones, and without that word would bend them into a proxy that never heard of them.

Chains are made with `-N`, which fails where they exist. A namespace is nearly always clean, so the one transaction
that presumes it so is nearly always enough; where it fails nothing has changed, and the caller comes again with what
`iptables-save` printed.

Docker keeps rules of its own in the table, which send 127.0.0.11:53 on to its resolver. Ours for names stand before
them, and leave the mesh's own queries to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Literal

from composemesh.model.snapshot import Exclude
from composemesh.routing.names import VIRTUAL

MARK = 1337
"""SO_MARK of the mesh's own sockets: rules leave them alone (Istio exempts a user id, which anybody may take on)."""

DOCKER_DNS = "127.0.0.11"
"""Where a container on a network of Docker's asks for names, at port 53."""

Version = Literal[4, 6]

_OUT = "COMPOSEMESH_OUT"
_IN = "COMPOSEMESH_IN"
_DNS = "COMPOSEMESH_DNS"
_HOOKS = {
    _OUT: "-A OUTPUT -p tcp --syn",
    _IN: "-A PREROUTING -p tcp --syn -m addrtype --dst-type LOCAL",  # a workload may be others' router
    _DNS: f"-I OUTPUT -d {DOCKER_DNS}/32",
}
_LOOPBACK: dict[Version, str] = {4: "127.0.0.0/8", 6: "::1/128"}

_JUMP = re.compile(r"^-A (?!COMPOSEMESH_)(.+ -[jg] COMPOSEMESH_(?:OUT|IN|DNS))\s*$", re.MULTILINE)
_CHAIN = re.compile(r"^:(COMPOSEMESH_(?:OUT|IN|DNS)) ", re.MULTILINE)
_TAG = re.compile(r'--comment "?composemesh:(\d+):(\d+)"?')


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that put a rule in place. The start makes it one process, where a pid alone comes again."""

    pid: int
    start: int
    """In clock ticks since the host started (proc_pid_stat(5), field 22)."""

    @property
    def tag(self) -> str:
        """The comment on our rules, which is what a later mesh knows them by."""
        return f"composemesh:{self.pid}:{self.start}"


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where the traffic of one address family goes, and what stays as it is."""

    version: Version
    outbound: int
    """The port, inside the namespace, that takes what its processes connect to."""
    inbound: int
    """The port, inside the namespace, that takes what arrives on its interfaces."""
    exclude: Exclude = field(default_factory=Exclude)
    dns: int = 0
    """The port, inside the namespace, that takes what its processes ask Docker's resolver; 0 to leave that alone."""
    resting: bool = False
    """New connections go straight. The rules behind stay: the last REDIRECT of a namespace takes connection tracking
    with it, without which connections that were redirected earlier hang."""


def install(redirect: Redirect, owner: Owner, saved: str = "") -> str:
    """Input of `iptables-restore --noflush` that captures a namespace, whatever stood there before.

    `saved` is what `iptables-save -t nat` printed there; left out, the namespace is presumed clean.
    """
    present = set(_CHAIN.findall(saved))
    chains = {_OUT: _outbound(redirect), _IN: _inbound(redirect)}
    if redirect.dns:
        chains[_DNS] = _names(redirect)
    lines = [f":{chain} - [0:0]" if chain in present else f"-N {chain}" for chain in chains]
    lines += _drop_jumps(saved)
    lines += [f"-A {chain} {rule}" for chain, rules in chains.items() for rule in rules]
    lines += [f"{_HOOKS[chain]} -m comment --comment {owner.tag} -j {chain}" for chain in chains]
    return _transaction(lines)


def remove(saved: str) -> str:
    """Input of `iptables-restore --noflush` that takes out all that is ours of `saved`; empty where nothing is."""
    chains = _CHAIN.findall(saved)
    lines = [*_drop_jumps(saved), *(f"-F {chain}" for chain in chains), *(f"-X {chain}" for chain in chains)]
    return _transaction(lines) if lines else ""


def owners(saved: str) -> frozenset[Owner]:
    """The meshes whose rules stand in an `iptables-save`."""
    return frozenset(Owner(int(pid), int(start)) for pid, start in _TAG.findall(saved))


def _drop_jumps(saved: str) -> Iterator[str]:
    return (f"-D {jump}" for jump in _JUMP.findall(saved))


def _outbound(redirect: Redirect) -> Iterator[str]:
    if redirect.resting:
        yield "-j RETURN"
    yield f"-m mark --mark {MARK} -j RETURN"
    if redirect.dns:
        yield f"-d {VIRTUAL} -p tcp -j REDIRECT --to-ports {redirect.outbound}"  # nobody else would take it
    yield "-o lo -j RETURN"
    yield f"-d {_LOOPBACK[redirect.version]} -j RETURN"  # Docker's resolver too, wherever it is routed
    yield from _excluded(redirect, "-d")
    yield f"-p tcp -j REDIRECT --to-ports {redirect.outbound}"


def _inbound(redirect: Redirect) -> Iterator[str]:
    if redirect.resting:
        yield "-j RETURN"
    yield f"-m mark --mark {MARK} -j RETURN"
    yield "-i lo -j RETURN"
    yield from _excluded(redirect, "-s")
    yield f"-p tcp -j REDIRECT --to-ports {redirect.inbound}"


def _names(redirect: Redirect) -> Iterator[str]:
    if redirect.resting or 53 in redirect.exclude.ports:
        yield "-j RETURN"
    yield f"-m mark --mark {MARK} -j RETURN"
    yield f"-p udp --dport 53 -j REDIRECT --to-ports {redirect.dns}"
    yield f"-p tcp --syn --dport 53 -j REDIRECT --to-ports {redirect.dns}"


def _excluded(redirect: Redirect, other_side: str) -> Iterator[str]:
    yield from (f"-p tcp --dport {port} -j RETURN" for port in redirect.exclude.ports)
    for cidr in redirect.exclude.cidrs:
        if ip_network(cidr, strict=False).version == redirect.version:
            yield f"{other_side} {cidr} -j RETURN"


def _transaction(lines: Iterable[str]) -> str:
    return "\n".join(["*nat", *lines, "COMMIT", ""])
