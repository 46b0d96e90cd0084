"""Capture without Docker and without root: host processes, told apart by addresses of 127.0.0.0/8.

Linux answers on every address of 127.0.0.0/8, so there is room for each process to stand somewhere of its own:

    127.81.W.1      workload W itself: its application listens here
    127.80.C.W      the mesh, as workload C meets it when it wants to call workload W

The second address says both who calls and who is meant, which is what the kernel's redirection says in `netns` mode;
nothing is redirected here, a process is told in its environment where the others are. A workload that the outside
may call has a front as well: 127.0.0.1 and a port, where the mesh listens in its place.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TypeVar

from composemesh.capture import listening
from composemesh.model.workload import Discovered, Kind, Workload
from composemesh.runtime.captured import Address, Captured, Captures, HostNamespace
from composemesh.runtime.latest import Latest
from composemesh.runtime.ports import listen_at

T = TypeVar("T")

FRONT_HOST = "127.0.0.1"
PORTS_TRIED = 200
"""A port that is taken (a published container port takes it on every address) is passed over for the next."""


@dataclass(frozen=True, slots=True)
class Member:
    """A host process that is to be meshed, before it has an address."""

    id: str
    names: tuple[str, ...]
    """What others call it. Where several members share a name, the first stands for all: the mesh balances."""
    port: int
    """Where its application would like to listen."""
    calls: tuple[str, ...] = ()
    """Names of the services it calls."""
    published: int = 0
    """The port of its front on 127.0.0.1; 0 for none."""


@dataclass(eq=False, slots=True)
class Doors:
    """Where one member stands, and the mesh's listening sockets around it.

    They are open before the first process starts and until the mesh ends. Each life of the workload is given
    duplicates, so that what a caller connects to in between waits in the backlog instead of being refused.
    """

    home: Address
    """Where the application is to listen."""
    calls: dict[str, Address] = field(default_factory=dict)
    """Name of a service → where this member finds it."""
    front: Address | None = None
    """Where the outside finds this member."""
    outbound: list[socket.socket] = field(default_factory=list)
    inbound: list[socket.socket] = field(default_factory=list)
    meant: dict[Address, Address] = field(default_factory=dict)
    """Address of a door → home of the workload that is meant by it."""

    def close(self) -> None:
        for door in (*self.outbound, *self.inbound):
            door.close()


def unsupported(platform: str = sys.platform) -> str:
    """Why loopback mode cannot work here, as one sentence; empty where it can."""
    if not platform.startswith("linux"):
        return (
            "Loopback mode needs Linux, where every address of 127.0.0.0/8 answers; this system has 127.0.0.1 only. "
            "Run it in a Linux virtual machine, or mesh containers instead."
        )
    return ""


def open_doors(members: Sequence[Member]) -> dict[str, Doors]:
    """Give every member its addresses, and open the mesh's sockets around it. By `Member.id`.

    Where a port is taken all members move up together, for those that share a name have to share its port.
    Raises OSError where no port is free, with nothing left open.
    """
    with ExitStack() as undo:
        doors = _first_free(0, lambda shift: _furnish(members, shift, undo), "ports")
        for member in members:
            if member.published:
                front = _first_free(member.published, lambda port: listen_at(FRONT_HOST, port), "port")
                own = doors[member.id]
                own.inbound.append(undo.enter_context(front))
                own.front = front.getsockname()
                own.meant[own.front] = own.home
        undo.pop_all()
        return doors


def _furnish(members: Sequence[Member], shift: int, keep: ExitStack) -> dict[str, Doors]:
    """Homes that are free, and every caller's door to everyone it calls, with all ports `shift` higher."""
    with ExitStack() as undo:
        doors = {}
        for number, member in enumerate(members, 1):
            doors[member.id] = Doors((_home(number), member.port + shift))
            listen_at(*doors[member.id].home).close()  # its own application will listen there
        standing = {name: number for number, member in reversed([*enumerate(members, 1)]) for name in member.names}
        for number, member in enumerate(members, 1):
            own = doors[member.id]
            for name in member.calls:
                callee = doors[members[standing[name] - 1].id]
                address = (_door(number, standing[name]), callee.home[1])
                if address not in own.meant:
                    own.outbound.append(undo.enter_context(listen_at(*address)))
                own.meant[address] = callee.home
                own.calls[name] = address
        keep.push(undo.pop_all())
        return doors


def _first_free(first: int, attempt: Callable[[int], T], what: str) -> T:
    """What `attempt` makes of the first number for which nothing is taken. Raises OSError where all are."""
    for number in range(first, first + PORTS_TRIED):
        try:
            return attempt(number)
        except OSError as problem:
            if problem.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"{PORTS_TRIED} {what} above the one wished for are taken")


def _home(workload: int) -> str:
    return f"127.81.{workload}.1"


def _door(caller: int, callee: int) -> str:
    return f"127.80.{caller}.{callee}"


class LoopbackCapture:
    """Takes the place of `modes.Capture` for host processes; the doors are open from the start."""

    def __init__(self, discovered: Latest[Discovered], doors: Mapping[str, Doors]) -> None:
        self.captures: Latest[Captures] = Latest(Captures())
        self._discovered = discovered
        self._doors = doors
        self._captured: dict[tuple[str, str], Captured] = {}

    @property
    def front(self) -> Address:
        """Where outsiders find the first member that is published. Raises StopIteration where none is."""
        return next(doors.front for doors in self._doors.values() if doors.front is not None)

    def __repr__(self) -> str:
        return f"<LoopbackCapture {len(self._captured)} of {len(self._doors)}>"

    async def run(self) -> None:
        """Follow what runs, for ever. If cancelled, the doors stay open until `release`."""
        async for discovered in self._discovered:
            self._follow(discovered)

    def _follow(self, discovered: Discovered) -> None:
        known = self._captured
        self._captured = {}
        refused = {}
        for workload in discovered.workloads:
            if workload.kind is Kind.PROCESS:
                continue  # it joined by itself: see `doors`
            doors = self._doors.get(workload.id)
            if doors is None:
                refused[workload.id] = "It is not a process that this mesh started, so nobody told it of the mesh."
                continue
            self._captured[workload.life] = known.get(workload.life) or _capture(workload, doors)
        self.captures.publish(Captures(dict(self._captured), refused))

    async def rest(self) -> None:
        """Take in no more. Listeners that were given to the proxy are for it to drain and close."""
        for doors in self._doors.values():
            doors.close()
        self._captured = {}
        self.captures.publish(Captures())

    async def release(self) -> None:
        """Nothing outlives `rest`: there are no rules."""


def _capture(workload: Workload, doors: Doors) -> Captured:
    return Captured(
        workload,
        HostNamespace(),
        inbound=tuple(door.dup() for door in doors.inbound),
        outbound=tuple(door.dup() for door in doors.outbound),
        original_destination=lambda accepted: doors.meant.get(accepted.getsockname()),
        listening=listening_on(doors.home[0]),
    )


def listening_on(host: str, table: str = "/proc/self/net/tcp") -> Callable[[], frozenset[int]]:
    """A look at the TCP ports that something listens on at exactly this IPv4 address: proc(5), `/proc/net/tcp`."""
    wanted = socket.inet_aton(host)

    def look() -> frozenset[int]:
        try:
            with open(table, "rb") as text:
                return frozenset(port for address, port in listening.sockets(text.read()) if address == wanted)
        except OSError:
            return frozenset()

    return look
