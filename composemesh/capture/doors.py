"""Doors for host processes that join while the mesh runs: capture without privileges, by addresses of 127.0.0.0/8.

    127.80.C.S      the mesh, as process C meets it when it wants to call service S

The address says both who calls and who is meant. A door has the service's own port where that is free; where
another program listens at that port on all addresses, the next free one, which only the environment tells: by its
name alone a caller would meet that program instead.

C is the process's on the whole host for as long as a claim on it is held, so that several meshes have room beside
each other. Numbers below FIRST are left to the demo, which gives them out itself.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import structlog
import trio

from composemesh.capture import listening
from composemesh.model.snapshot import Snapshot
from composemesh.model.workload import Discovered, Kind, Workload
from composemesh.routing.names import Names
from composemesh.runtime.captured import Address, Captured, Captures, HostNamespace
from composemesh.runtime.latest import Latest
from composemesh.runtime.ports import listen_at

log = structlog.get_logger()

FIRST, LAST = 32, 254
CLAIM_PORT = 15001
"""At address 127.80.C.0: whoever listens there has the number C."""
MOST_SERVICES = 254
MOST_FOUND = 32
"""Of them that were found on the network."""
LOOK = 1.0
"""Seconds between looks at what containers listen on, while there is a process that may call them."""
HTTP = 80
"""Where whoever names no port comes; only root may listen there."""
PORTS_TRIED = 50
"""Above the one wished for."""
_EVERYWHERE = frozenset({b"\0" * 4, b"\x7f\0\0\1", b"\0" * 16, b"\0" * 10 + b"\xff\xff\0\0\0\0"})
"""Addresses that include 127.0.0.1."""
TABLES = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))


class Door(NamedTuple):
    """Where a process finds one port of a service."""

    service: str
    port: int
    """The service's own."""
    address: Address


@dataclass(eq=False, slots=True)
class Porch:
    """One process: its number, and the mesh's sockets for its calls."""

    number: int
    claim: socket.socket
    doors: dict[tuple[str, int], Door] = field(default_factory=dict)
    sockets: list[socket.socket] = field(default_factory=list)
    """Lent to the proxy, which closes them: see `Captured.outbound`."""
    meant: dict[Address, Address] = field(default_factory=dict)
    """Address of a door → virtual address of the service."""


class ProcessCapture:
    """Takes what joined processes call. Nothing is redirected: a process is told where the doors are."""

    def __init__(
        self,
        discovered: Latest[Discovered],
        snapshot: Latest[Snapshot],
        names: Names,
        containers: Latest[Captures] | None = None,
    ) -> None:
        """`containers` are captured by others: where nobody said their ports, those count that they listen on."""
        self._containers = containers if containers is not None else Latest(Captures())
        self.captures: Latest[Captures] = Latest(Captures())
        self._discovered, self._snapshot, self._names = discovered, snapshot, names
        self._numbers: dict[str, int] = {}
        """Service → its number, for good: callers keep addresses."""
        self._found: set[str] = set()
        self._wanted: dict[str, Mapping[str, int]] = {}
        self._porches: dict[tuple[str, str], Porch] = {}
        self._captured: dict[tuple[str, str], Captured] = {}
        self._resting = False

    def __repr__(self) -> str:
        return f"<ProcessCapture {len(self._porches)} processes>"

    def want(self, workload: Workload, calls: Mapping[str, int]) -> None:
        """Before it is discovered: services and ports that it wants doors to although nobody knows them yet."""
        self._wanted[workload.id] = dict(calls)

    def doors(self, workload: Workload) -> tuple[Door, ...]:
        """Where it finds what it may call."""
        porch = self._porches.get(workload.life)
        return tuple(porch.doors.values()) if porch is not None else ()

    async def run(self) -> None:
        """Follow what runs and what is configured, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow, self._snapshot)
            nursery.start_soon(self._follow, self._discovered)
            nursery.start_soon(self._look_again)

    async def _follow(self, feed: Latest[Snapshot] | Latest[Discovered]) -> None:
        async for _ in feed:
            self._reconcile()

    async def _look_again(self) -> None:
        while True:
            await trio.sleep(LOOK)
            if self._porches:
                self._reconcile()

    def _reconcile(self) -> None:
        if self._resting:
            return
        discovered, snapshot = self._discovered.value, self._snapshot.value
        processes = {each.life: each for each in discovered.workloads if each.kind is Kind.PROCESS}
        refused: dict[str, str] = {}
        for life in self._porches.keys() - processes.keys():
            self._porches.pop(life).claim.close()  # the other sockets are the proxy's
            self._captured.pop(life)
            self._wanted.pop(life[0], None)
        self._found = {
            snapshot.settings_of(each).service.lower() for each in discovered.workloads if each.kind is Kind.FOUND
        }
        services = sorted(set(self._services_of(snapshot, discovered))) if processes else []
        anywhere = sorted(set(_with_one_port(snapshot, discovered))) if processes else []
        self._names.update(snapshot, discovered)
        for life, workload in processes.items():
            try:
                porch = self._porches.get(life) or self._open(life)
            except OSError as problem:
                refused[workload.id] = (
                    f"There is no address of 127.80.0.0/16 left for its calls ({problem.strerror})."
                )
                continue
            for service, port in (*services, *self._wanted.get(workload.id, {}).items()):
                if (service, port) not in porch.doors:
                    self._add(porch, service, port)
            for service in anywhere:
                if (service, HTTP) not in porch.doors:
                    self._add(porch, service, HTTP, exactly=True)
            known = self._captured.get(life)
            if known is None or len(known.outbound) != len(porch.sockets):
                self._captured[life] = _captured(workload, porch)
        self.captures.publish(Captures(dict(self._captured), refused))

    def _services_of(self, snapshot: Snapshot, discovered: Discovered) -> Iterator[tuple[str, int]]:
        """What can be called by name, and at which ports."""
        for workload in discovered.workloads:
            if workload.oneoff:
                continue
            settings = snapshot.settings_of(workload)
            ports: Iterable[int] = settings.ports or workload.ports
            if not ports and (captured := self._containers.value.captured.get(workload.life)) is not None:
                ports = captured.listening()
            for port in ports:
                yield settings.service.lower(), port

    def _open(self, life: tuple[str, str]) -> Porch:
        taken = OSError()
        for number in range(FIRST, LAST + 1):
            try:
                claim = listen_at(f"127.80.{number}.0", CLAIM_PORT)
            except OSError as problem:
                taken = problem
                continue
            porch = self._porches[life] = Porch(number, claim)
            return porch
        raise taken

    def _add(self, porch: Porch, service: str, port: int, *, exactly: bool = False) -> None:
        number = self._number(service)
        if not number:
            return
        host = f"127.80.{porch.number}.{number}"
        for candidate in range(port, min(port + (1 if exactly else PORTS_TRIED), 65536)):
            try:
                made = listen_at(host, candidate)
            except OSError:
                continue
            porch.sockets.append(made)
            porch.doors[service, port] = Door(service, port, (host, candidate))
            porch.meant[host, candidate] = (self._names.address_of(service), port)
            return
        if not exactly:
            log.warning("no port is free for calls", service=service, port=port)

    def _number(self, service: str) -> int:
        """The same for a service each time, 0 where there are too many; strangers don't use up everybody's."""
        number = self._numbers.get(service, 0)
        if not number:
            own = MOST_SERVICES - MOST_FOUND
            room = range(own + 1, MOST_SERVICES + 1) if service in self._found else range(1, own + 1)
            taken = set(self._numbers.values())
            number = next((each for each in room if each not in taken), 0)
            if number:
                self._numbers[service] = number
        return number

    async def rest(self) -> None:
        """Take in no more. The listeners are the proxy's to drain and close."""
        self._resting = True
        for porch in self._porches.values():
            porch.claim.close()
        self._porches, self._captured = {}, {}
        self.captures.publish(Captures())

    async def release(self) -> None:
        """Nothing outlives `rest`: there are no rules."""


def _with_one_port(snapshot: Snapshot, discovered: Discovered) -> Iterator[str]:
    """Services that are reached at their one port, whichever is asked for."""
    for workload in discovered.workloads:
        if workload.kind is not Kind.CONTAINER and len(workload.ports) == 1:
            yield snapshot.settings_of(workload).service.lower()


def _captured(workload: Workload, porch: Porch) -> Captured:
    return Captured(
        workload,
        HostNamespace(),
        inbound=(),
        outbound=tuple(porch.sockets),
        original_destination=lambda accepted: porch.meant.get(accepted.getsockname()),
        listening=listening_here(workload.ports),
    )


def listening_here(ports: tuple[int, ...]) -> Callable[[], frozenset[int]]:
    """A look at which of these ports somebody listens on at 127.0.0.1, alone or among all addresses."""

    def look() -> frozenset[int]:
        found: set[int] = set()
        for table in TABLES:
            try:
                text = table.read_bytes()
            except OSError:
                continue
            found.update(port for address, port in listening.sockets(text) if address in _EVERYWHERE)
        return frozenset(found.intersection(ports))

    return look
