"""The sockets that take a workload's traffic, inside its namespace, and where each connection was going."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Collection
from dataclasses import dataclass

from composemesh.capture.netns import NetworkNamespace
from composemesh.runtime.captured import Address

OUTBOUND_PORT = 15001
INBOUND_PORT = 15006
_TRIES = 200
"""Ports tried, one above the other, where the application holds the first."""
_BACKLOG = 1024

_SO_ORIGINAL_DST = 80  # linux/netfilter_ipv4.h; IP6T_SO_ORIGINAL_DST has the same number
_IP_FREEBIND = 15
_IPV6_FREEBIND = 78


@dataclass(frozen=True, slots=True)
class Pair:
    """The two listeners of one address family."""

    outbound: socket.socket
    """On loopback only: nobody outside the workload can reach it."""
    inbound: socket.socket

    @property
    def family(self) -> int:
        return self.outbound.family

    @property
    def ports(self) -> tuple[int, int]:
        """Outbound and inbound."""
        return (self.outbound.getsockname()[1], self.inbound.getsockname()[1])

    def close(self) -> None:
        self.outbound.close()
        self.inbound.close()


def open_listeners(namespace: NetworkNamespace, avoid: Collection[int] = ()) -> tuple[Pair, ...]:
    """A pair for IPv4, and one for IPv6 where the kernel has it. They listen at once, before any rule is there.

    A port that the application holds, or is known to want (`avoid`), is left to it: ours is the next free one.
    Raises OSError where the namespace is gone or has no free port.
    """
    pairs = [_open_pair(namespace, socket.AF_INET, avoid)]
    try:
        pairs.append(_open_pair(namespace, socket.AF_INET6, avoid))
    except OSError as problem:
        if problem.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT):
            pairs[0].close()
            raise
    return tuple(pairs)


def _open_pair(namespace: NetworkNamespace, family: int, avoid: Collection[int]) -> Pair:
    loopback, everywhere = ("127.0.0.1", "0.0.0.0") if family == socket.AF_INET else ("::1", "::")
    outbound = _listen(namespace, family, loopback, OUTBOUND_PORT, {*avoid, INBOUND_PORT})
    try:
        return Pair(outbound, _listen(namespace, family, everywhere, INBOUND_PORT, {*avoid, OUTBOUND_PORT}))
    except OSError:
        outbound.close()
        raise


def _listen(namespace: NetworkNamespace, family: int, host: str, first: int, avoid: Collection[int]) -> socket.socket:
    for port in range(first, first + _TRIES):
        if port in avoid:
            continue
        made = namespace.socket(family)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                # Docker gives a container ::1 only when it joins a network with IPv6, which may be later
                made.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
            else:
                made.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
            made.bind((host, port))
            made.listen(_BACKLOG)
        except OSError as problem:
            made.close()
            if problem.errno != errno.EADDRINUSE:
                raise
        else:
            return made
    raise OSError(errno.EADDRINUSE, f"no free port from {first} to {first + _TRIES - 1}")


def original_destination(accepted: socket.socket) -> Address | None:
    """Where a connection was going before the rules sent it here; None where nobody redirected it.

    A redirected outbound connection arrives on loopback, an inbound one on the address of its interface: there the
    port alone tells our own, for an interface may have several addresses.
    """
    try:
        local = accepted.getsockname()
        host, port = _unmapped(local[0]), local[1]
        if ":" in host:
            there, raw = _read6(accepted)
        else:
            there, raw = _read4(accepted)
    except OSError:
        return None
    if raw == port and (there == host or not (host == "::1" or host.startswith("127."))):
        return None
    return (there, raw)


def _read4(accepted: socket.socket) -> Address:
    port, packed = struct.unpack("!2xH4s8x", accepted.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16))
    return (socket.inet_ntop(socket.AF_INET, packed), port)


def _read6(accepted: socket.socket) -> Address:
    raw = accepted.getsockopt(socket.IPPROTO_IPV6, _SO_ORIGINAL_DST, 28)
    port, packed = struct.unpack("!2xH4x16s4x", raw)
    return (_unmapped(socket.inet_ntop(socket.AF_INET6, packed)), port)


def _unmapped(host: str) -> str:
    return host.removeprefix("::ffff:") if "." in host else host
