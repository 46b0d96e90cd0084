"""What capture hands to the proxy: a workload's listening sockets, and sockets that dial from where it stands."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import trio

from composemesh.model.workload import Workload

Address = tuple[str, int]
"""An IP address as `ipaddress` prints it, and a TCP port."""


class Namespace(Protocol):
    """The network namespace that a workload lives in, or the host's own."""

    def socket(self, family: int) -> socket.socket:
        """A non-blocking TCP socket inside the namespace, marked so that capture leaves it alone.

        Raises OSError when the namespace is gone.
        """


class Found(NamedTuple):
    """The addresses of a name, and for how many seconds they hold."""

    addresses: tuple[str, ...]
    ttl: int


async def look_up_at_home(name: str) -> Found:
    """The addresses of a name as the host sees it. Raises OSError."""
    found = await trio.socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return Found(tuple(dict.fromkeys(str(address[0]) for *_, address in found)), 0)


class HostNamespace:
    """The namespace that this process is in itself: nothing is redirected here, so nothing needs a mark."""

    def __repr__(self) -> str:
        return "<HostNamespace>"

    def socket(self, family: int) -> socket.socket:
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setblocking(False)
        return made


@dataclass(eq=False, slots=True)
class Captured:
    """One workload whose traffic comes to the mesh. The proxy owns and closes the listeners."""

    workload: Workload
    namespace: Namespace
    inbound: tuple[socket.socket, ...]
    """Listening, non-blocking: what arrives at the workload from outside the mesh."""
    outbound: tuple[socket.socket, ...]
    """Listening, non-blocking: what the workload's own processes connect to."""
    original_destination: Callable[[socket.socket], Address | None]
    """Where an accepted connection was going; None for one that nobody redirected (refuse it)."""
    listening: Callable[[], frozenset[int]]
    """TCP ports that something in the workload listens on at this moment; cheap, synchronous, never raises."""
    look_up: Callable[[str], Awaitable[Found]] = look_up_at_home
    """A name's addresses as the workload's processes would find them. Raises OSError where nobody answers."""


@dataclass(frozen=True, slots=True)
class Captures:
    """What is captured now, and why the rest is not. Full state."""

    captured: Mapping[tuple[str, str], Captured] = field(default_factory=dict)
    """By `Workload.life`."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Workload id → one sentence on why its traffic does not come to the mesh."""
