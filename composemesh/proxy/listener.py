"""A workload's sidecar: its listeners, what was accepted on them, and how both come to an end."""

from __future__ import annotations

import errno
import socket
import struct
import time
from typing import TYPE_CHECKING

import structlog
import trio

from composemesh.model.flag import Flag
from composemesh.model.peer import UNKNOWN
from composemesh.model.record import Record
from composemesh.proxy.connection import Connection
from composemesh.proxy.load import Load

if TYPE_CHECKING:
    from composemesh.model.peer import Peer
    from composemesh.proxy.cluster import Endpoint
    from composemesh.proxy.planner import Planner
    from composemesh.proxy.reactor import Reactor
    from composemesh.runtime.captured import Address, Captured
    from composemesh.telemetry.hub import Hub

log = structlog.get_logger()

OVERLOADED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
ACCEPTED = 4
"""Connections accepted before others have their turn: to meet each takes as long as a few requests."""
BACK_OFF = 0.1
"""Seconds without accepting when the process has run out of descriptors: time for some to come back."""
SWEEP = 0.05
"""Seconds between looks at deadlines and departed clients. One task does it for all connections, because a cancel
scope with a deadline for every request would cost more than the request's parsing."""


class Sidecar:
    """The in-process proxy of one life of a workload."""

    def __init__(self, captured: Captured, endpoint: Endpoint, planner: Planner, hub: Hub, reactor: Reactor) -> None:
        self.captured = captured
        self.endpoint = endpoint
        self.planner = planner
        self.hub = hub
        self.reactor = reactor
        self.connections: set[Connection] = set()
        self._loads = Load(planner.listeners), Load(planner.listeners)
        self._accepting = trio.CancelScope()
        self._more = trio.Event()
        self._empty = trio.Event()

    def __repr__(self) -> str:
        return f"<Sidecar {self.captured.workload.name} connections={len(self.connections)}>"

    async def run(self) -> None:
        """Serve until drained. If cancelled, connections are cut."""
        try:
            async with trio.open_nursery() as nursery:
                with self._accepting:
                    async with trio.open_nursery() as listeners:
                        for sock in self.captured.inbound:
                            listeners.start_soon(self._accept, sock, True, nursery)
                        taken: set[socket.socket] = set()
                        while True:
                            for sock in self.captured.outbound:
                                if sock not in taken:
                                    taken.add(sock)
                                    listeners.start_soon(self._accept, sock, False, nursery)
                            await self._more.wait()
                            self._more = trio.Event()
        finally:
            self.close_listeners()

    def take(self, captured: Captured) -> None:
        """Accept where the workload is captured by now: a host process gets more outbound listeners in time."""
        if set(captured.outbound) > set(self.captured.outbound):
            self.captured = captured
            self._more.set()

    def close_listeners(self) -> None:
        """Stop accepting; idempotent."""
        self._accepting.cancel()
        for sock in (*self.captured.inbound, *self.captured.outbound):
            if sock.fileno() >= 0:
                trio.lowlevel.notify_closing(sock)
                sock.close()

    async def drain(self, limit: float) -> None:
        """Accept nothing more; let connections end with the exchange they are in, and cut them after `limit` seconds.

        What is in flight may still end well even when the workload has ended, because its peers have not.
        """
        self.close_listeners()
        for connection in tuple(self.connections):
            connection.drain()
        with trio.move_on_after(limit):
            if self.connections:
                await self._empty.wait()
        for connection in tuple(self.connections):
            connection.end(Flag.OVERLOAD_MANAGER)

    def load(self, inbound: bool) -> Load:
        """What the listener in either direction carries, by the limits of this moment."""
        load = self._loads[inbound]
        load.follow(self.planner.listeners)
        return load

    def look_after(self, now: float) -> None:
        """Let every connection check its clock; see SWEEP."""
        for connection in tuple(self.connections):
            connection.look_after(now)

    def meet(self, sock: socket.socket, destination: Address, inbound: bool) -> Connection:
        """What serves an accepted socket. Raises OSError when the kernel has no room for it."""
        return Connection(self, sock, destination, inbound=inbound)

    async def _accept(self, listener: socket.socket, inbound: bool, nursery: trio.Nursery) -> None:
        full = False
        in_a_row = 0
        while True:
            if in_a_row >= ACCEPTED:
                in_a_row = 0
                await trio.lowlevel.checkpoint()
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                in_a_row = 0
                await trio.lowlevel.wait_readable(listener)
                continue
            except OSError as problem:
                if listener.fileno() < 0:
                    return
                if problem.errno not in OVERLOADED:
                    await trio.lowlevel.checkpoint()
                    continue  # the client gave up between its SYN and our accept
                if not full:  # said once, not ten times a second
                    log.warning("cannot accept", workload=self.captured.workload.name, problem=problem.strerror)
                full = True
                await trio.sleep(BACK_OFF)
                continue
            full = False
            in_a_row += 1
            sock.setblocking(False)
            destination = self.captured.original_destination(sock)
            if destination is None:
                sock.close()  # it was addressed to this very listener: forwarding it would be a loop
                continue
            if self.load(inbound).full:
                self._refuse(sock, destination, inbound)
                await trio.lowlevel.checkpoint()
                continue
            try:
                connection = self.meet(sock, destination, inbound)
            except OSError as problem:
                log.warning("cannot serve", workload=self.captured.workload.name, problem=problem.strerror)
                sock.close()
                continue
            connection.load.connections += 1
            self.connections.add(connection)  # now, not when its task runs: a drain in between must find it
            nursery.start_soon(self._serve, connection)

    def unreached(self, destination: Address, inbound: bool) -> Peer:
        """Whom a connection was for that is refused before its first word."""
        host, port = destination
        plan = self.planner.plan
        return (plan.inbound(self.endpoint, host) if inbound else plan.outbound(self.endpoint, host, port)).unreached

    def _refuse(self, sock: socket.socket, destination: Address, inbound: bool) -> None:
        """One connection too many is reset and recorded; what it would have said is not waited for."""
        record = Record(UNKNOWN if inbound else self.endpoint.peer, self.unreached(destination, inbound), "tcp")
        record.start = time.time()
        record.flag = Flag.OVERLOAD_MANAGER
        self.hub.tell(record)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    async def _serve(self, connection: Connection) -> None:
        try:
            await connection.run()
        except Exception:
            log.exception("connection failed", connection=repr(connection))
        finally:
            self.connections.discard(connection)
            connection.load.connections -= 1
            if not self.connections and self._accepting.cancel_called:
                self._empty.set()


async def sweep(sidecars: set[Sidecar]) -> None:
    """Look after every connection of every sidecar, for ever."""
    while True:
        await trio.sleep(SWEEP)
        now = time.monotonic()
        for sidecar in tuple(sidecars):
            sidecar.look_after(now)
