"""The whole proxy on loopback: real sockets and origins, no containers. Every workload has its own address."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import trio
import trio.testing

from composemesh.catalog import Catalog
from composemesh.identity.ca import Authority
from composemesh.identity.issuer import server_contexts
from composemesh.model.peer import Peer
from composemesh.model.record import Record
from composemesh.model.snapshot import Snapshot
from composemesh.model.workload import Attachment, Discovered, Workload
from composemesh.proxy.chain.live import Filters
from composemesh.proxy.fleet import Fleet
from composemesh.proxy.reactor import Reactor
from composemesh.runtime.captured import Captured, Captures
from composemesh.runtime.latest import Latest
from composemesh.telemetry.hub import Hub

PORT = 8080
NETWORK = f"127.{os.getpid() % 200 + 20}"
"""The beginning of this process's addresses: several runs may share a machine."""
AUTHORITY = Authority.new("test", datetime.now(UTC))
"""What gateways' certificates lead to."""
Handler = Callable[[trio.SocketStream], Awaitable[object]]
AnyHandler = Callable[[trio.abc.Stream], Awaitable[object]]


class Here:
    """The test's own namespace."""

    def __init__(self, room: int = 0) -> None:
        self.room = room
        """Bytes that the kernel takes of what is sent, before the other side reads; 0 for its own choice."""

    def socket(self, family: int) -> socket.socket:
        sock = socket.socket(family)
        sock.setblocking(False)
        if self.room:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.room)
        return sock


def listener() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(128)
    sock.setblocking(False)
    return sock


class Records:
    """A sink that keeps everything, and can be waited for."""

    def __init__(self) -> None:
        self.all: list[Record] = []
        self._more = trio.Event()

    def put(self, record: Record) -> None:
        self.all.append(record)
        more, self._more = self._more, trio.Event()
        more.set()

    async def next(self, count: int = 1) -> Record:
        """The record number `count`, once it is there."""
        with trio.fail_after(5):
            while len(self.all) < count:
                await self._more.wait()
        return self.all[count - 1]


class Net:
    """A mesh of one caller and whatever a test adds to it."""

    _addresses = itertools.count(1)

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.discovered = Latest(Discovered())
        self.captures = Latest(Captures())
        self.snapshot = Latest(Snapshot("test"))
        self.hub = Hub()
        self.records = Records()
        self.hub.add_feed(self.records)
        certify = partial(server_contexts, AUTHORITY)
        self.filters: Catalog[type] = Catalog("filter")
        """What the names of filters stand for."""
        self.fleet = Fleet(
            self.discovered, self.snapshot, self.captures, self.hub, certify=certify, filters=Filters(self.filters)
        )
        self.listening: dict[str, frozenset[int]] = {}
        self.caller = self.add("caller", network="net")
        self._ways: dict[tuple[str, int], tuple[str, int]] = {}
        self._clients: list[trio.SocketStream] = []

    def add(self, service: str, *, network: str = "net", address: str = "", life: str = "1") -> Workload:
        """One more workload, captured; it listens on PORT as soon as `serve` says so."""
        number = next(self._addresses)
        address = address or f"{NETWORK}.{number // 250}.{number % 250 + 1}"
        workload = Workload(
            f"id-{number}", f"{service}-{number}", service, life, 1, (Attachment(network, network, (address,)),)
        )
        self.listening[address] = frozenset()
        captured = Captured(
            workload,
            Here(),
            inbound=(listener(),),
            outbound=(listener(),),
            original_destination=lambda sock: self._ways.get(sock.getsockname()[:2], (address, PORT)),
            listening=lambda: self.listening[address],
        )
        self.captures.publish(Captures({**self.captures.value.captured, workload.life: captured}))
        self.discovered.publish(Discovered((*self.discovered.value.workloads, workload)))
        return workload

    def change(self, workload: Workload, **changes: Any) -> Workload:
        """Discovery reports the same workload in another shape."""
        changed = replace(workload, **changes)
        others = tuple(each for each in self.discovered.value.workloads if each.life != workload.life)
        self.discovered.publish(Discovered((*others, changed)))
        return changed

    def remove(self, workload: Workload) -> None:
        captured = {life: each for life, each in self.captures.value.captured.items() if life != workload.life}
        others = tuple(each for each in self.discovered.value.workloads if each.life != workload.life)
        self.discovered.publish(Discovered(others))
        self.captures.publish(Captures(captured))

    async def serve(
        self, workload: Workload, handler: Handler, port: int = PORT, *, room: int = 0
    ) -> trio.CancelScope:
        """Run the workload's application; cancel what is returned to kill it. `room`: bytes that its kernel takes
        before it reads."""
        address = workload.addresses[0]
        listeners = await trio.open_tcp_listeners(port, host=address)
        if room:
            listeners[0].socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.listening[address] |= {port}
        scope = trio.CancelScope()

        async def guarded(stream: trio.SocketStream) -> None:
            try:
                await handler(stream)
            except trio.BrokenResourceError:
                pass

        async def run() -> None:
            with scope:
                await trio.serve_listeners(guarded, listeners)
            self.listening[address] -= {port}

        self.nursery.start_soon(run)
        await self.settled(workload)
        return scope

    def peer(self, workload: Workload) -> Peer:
        """How records name this workload."""
        return self.fleet.planner.endpoints[workload.life].peer

    async def settled(self, workload: Workload) -> None:
        """Wait until the mesh has seen that the workload listens."""
        with trio.fail_after(5):
            while not self.fleet.planner.endpoints[workload.life].ready:  # noqa: ASYNC110 - no event says so
                await trio.sleep(0.005)

    def way_to(self, address: str, port: int = PORT) -> tuple[str, int]:
        """Where other programs, as processes of the caller, reach an address: every connection there is captured."""
        name = self.captures.value.captured[self.caller.life].outbound[0].getsockname()[:2]
        self._ways[name] = (address, port)
        return (name[0], name[1])

    async def connect(
        self, to: Workload | str, port: int = PORT, *, source: Workload | None = None
    ) -> trio.SocketStream:
        """As a process of the caller connects to an address: capture brings it to the caller's sidecar."""
        captured = self.captures.value.captured[(source or self.caller).life]
        return await self._to(captured.outbound[0], to if isinstance(to, str) else to.addresses[0], port)

    async def connect_from_outside(self, to: Workload, port: int = PORT) -> trio.SocketStream:
        """As somebody outside the mesh connects to the workload."""
        return await self._to(self.captures.value.captured[to.life].inbound[0], to.addresses[0], port)

    async def _to(self, sock: socket.socket, address: str, port: int) -> trio.SocketStream:
        self._ways[sock.getsockname()[:2]] = (address, port)
        stream = await trio.open_tcp_stream(*sock.getsockname()[:2])
        self._clients.append(stream)
        await trio.testing.wait_all_tasks_blocked(0.002)  # until it was accepted, on its way to this address
        return stream

    def close(self) -> None:
        for client in self._clients:
            client.socket.close()


@asynccontextmanager
async def running_net() -> AsyncIterator[Net]:
    async with trio.open_nursery() as nursery:
        net = Net(nursery)
        await nursery.start(net.fleet.run)
        try:
            yield net
        finally:
            net.close()
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def running_reactor(nursery: trio.Nursery) -> AsyncIterator[Reactor]:
    """What wakes wires, where nothing of a mesh is needed but these. Ends whatever else the nursery runs."""
    made = Reactor()
    nursery.start_soon(made.run)
    await trio.testing.wait_all_tasks_blocked()
    yield made
    nursery.cancel_scope.cancel()


async def read_until(stream: trio.abc.Stream, end: bytes) -> bytes:
    data = b""
    with trio.fail_after(5):
        while end not in data:
            more = await stream.receive_some()
            assert more, f"closed after {data!r}"
            data += more
    return data


async def read_all(stream: trio.abc.Stream) -> bytes:
    data = b""
    with trio.fail_after(5):
        while more := await stream.receive_some():
            data += more
    return data


async def ask(stream: trio.abc.Stream, request: bytes, body: bytes = b"ok") -> bytes:
    """Send a request on a connection that stays open, and read the answer until `body` has come after its head."""
    await trio.lowlevel.checkpoint()  # what was published before is heard before: no wire carries it
    await stream.send_all(request)
    data = await read_until(stream, b"\r\n\r\n")
    if body not in data.partition(b"\r\n\r\n")[2]:
        data += await read_until(stream, body)
    return data


GET = b"GET / HTTP/1.1\r\nHost: app\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answering(answer: bytes = OK, seen: list[bytes] | None = None) -> AnyHandler:
    """An application that answers each head (with whatever came along) in the same way."""

    async def handle(stream: trio.abc.Stream) -> None:
        data = b""
        while more := await stream.receive_some():
            data += more
            while b"\r\n\r\n" in data:
                head, _, data = data.partition(b"\r\n\r\n")
                if seen is not None:
                    seen.append(head)
                await stream.send_all(answer)

    return handle
