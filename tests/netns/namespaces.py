"""Two hosts on one wire: namespaces of our own, each held by a sleeping process as a container's is."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import trio

from composemesh.capture.iptables import Iptables
from composemesh.capture.modes import Capture
from composemesh.capture.netns import NetworkNamespace
from composemesh.model.snapshot import CaptureMode, Snapshot
from composemesh.model.workload import Discovered, Workload
from composemesh.routing.names import Names
from composemesh.runtime.captured import Captured
from composemesh.runtime.latest import Latest

_opened: list[trio.socket.SocketType] = []


def keep(made: socket.socket) -> trio.socket.SocketType:
    """A socket that is closed when the test ends, if not before."""
    kept = trio.socket.from_stdlib_socket(made)
    _opened.append(kept)
    return kept


def close_all() -> None:
    while _opened:
        _opened.pop().close()


@dataclass(eq=False)
class Host:
    """A namespace, the process that holds it, and the workload that the mesh would be told of."""

    process: subprocess.Popen[str]
    workload: Workload
    addresses: dict[int, str] = field(default_factory=dict)
    """By address family."""

    @property
    def pid(self) -> int:
        return self.process.pid

    def run(self, *command: str) -> str:
        """A program's output, run inside."""
        inside = ["nsenter", "-t", str(self.pid), "-n", *command]
        return subprocess.run(inside, check=True, capture_output=True, text=True).stdout

    def rules(self, save: str = "iptables-save") -> list[str]:
        """The nat table without the comments, which tell the time."""
        return [line for line in self.run(save, "-t", "nat").splitlines() if not line.startswith("#")]

    async def until_rules(self, judge: Callable[[list[str]], bool]) -> None:
        """The kernel sends no word when its rules change: look until they have."""
        with trio.fail_after(20):
            while not judge(self.all_rules()):  # noqa: ASYNC110
                await trio.sleep(0.02)

    def all_rules(self) -> list[str]:
        return self.rules() + self.rules("ip6tables-save")

    def plug(self, family: int = socket.AF_INET) -> socket.socket:
        """A socket as an application's is, that is, without the mesh's mark."""
        namespace = NetworkNamespace.of(self.workload)
        try:
            made = namespace.socket(family)
        finally:
            namespace.close()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0)
        return made

    def listen(self, port: int, family: int = socket.AF_INET, host: str = "") -> trio.SocketListener:
        """An application that listens at an address, or at all of them."""
        made = self.plug(family)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen()
        return trio.SocketListener(keep(made))

    async def connect(self, host: str, port: int) -> trio.SocketStream:
        made = keep(self.plug(socket.AF_INET6 if ":" in host else socket.AF_INET))
        await made.connect((host, port))
        return trio.SocketStream(made)

    async def takes(self, listener: trio.SocketListener) -> trio.SocketStream:
        """The next connection that an application of the host is given."""
        with trio.fail_after(5):
            stream = await listener.accept()
        _opened.append(stream.socket)
        return stream

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def held(name: str) -> Iterator[Host]:
    """A host without any wire yet."""
    held = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up && echo here && exec sleep 600"],
        stdout=subprocess.PIPE,
        text=True,
    )
    with held:
        assert held.stdout is not None
        assert held.stdout.readline() == "here\n"
        host = Host(
            held, Workload(f"id-of-{name}", name, name.split("-")[1], datetime.now(UTC).isoformat(), held.pid)
        )
        try:
            yield host
        finally:
            host.end()


@dataclass
class Told:
    """A capture, what it is told, and the proxy's part: it closes listeners whose workload is gone."""

    capture: Capture
    discovered: Latest[Discovered]
    snapshot: Latest[Snapshot]
    names: Names

    def runs(self, *hosts: Host) -> None:
        self.discovered.publish(Discovered(tuple(host.workload for host in hosts)))

    async def until(self, judge: Callable[[], object]) -> None:
        with trio.fail_after(20):
            while not judge():
                await self.capture.captures.after(self.capture.captures.version)

    async def captured(self, host: Host) -> Captured:
        captures = self.capture.captures
        await self.until(lambda: host.workload.life in captures.value.captured)
        return captures.value.captured[host.workload.life]

    async def refused(self, host: Host) -> str:
        captures = self.capture.captures
        await self.until(lambda: host.workload.id in captures.value.refused)
        return captures.value.refused[host.workload.id]


Mesh = Callable[..., Awaitable[Told]]


async def start(
    nursery: trio.Nursery,
    *hosts: Host,
    snapshot: Snapshot | None = None,
    mode: CaptureMode = CaptureMode.AUTO,
    iptables: Iptables | None = None,
) -> Told:
    discovered = Latest(Discovered())
    configured = Latest(snapshot or Snapshot("shop"))
    names = Names()
    told = Told(Capture(discovered, configured, mode, iptables, names), discovered, configured, names)
    told.runs(*hosts)
    nursery.start_soon(_proxy, told.capture)
    nursery.start_soon(told.capture.run)
    return told


async def _proxy(capture: Capture) -> None:
    """Closes the listeners of each workload that is captured no more, as the proxy's fleet does."""
    held: dict[tuple[str, str], Captured] = {}
    try:
        async for captures in capture.captures:
            for gone in held.keys() - captures.captured.keys():
                _close(held.pop(gone))
            held.update(captures.captured)
    finally:
        held.update(capture.captures.value.captured)
        for captured in held.values():
            _close(captured)
        for life in capture._lives.values():
            life._close_sockets()  # which only the end of the process closes where nothing was released


def _close(captured: Captured) -> None:
    for listener in captured.inbound + captured.outbound:
        listener.close()


async def accepted(listeners: tuple[socket.socket, ...], family: int) -> trio.SocketStream:
    """The next connection that one of the mesh's listeners takes."""
    listener = next(listener for listener in listeners if listener.family == family)
    with trio.fail_after(5):
        await trio.lowlevel.wait_readable(listener)
    taken, _ = listener.accept()
    taken.setblocking(False)
    return trio.SocketStream(keep(taken))


@asynccontextmanager
async def reached(caller: Host, callee: Host, port: int, family: int) -> AsyncIterator[None]:
    """Whether a call ends at an application of the callee, and not at the mesh."""
    server = callee.listen(port, family)
    client = await caller.connect(callee.addresses[family], port)
    await callee.takes(server)
    yield
    await client.aclose()
    await server.aclose()


def destination(captured: Captured, stream: trio.SocketStream) -> tuple[str, int] | None:
    duplicate = socket.socket(fileno=os.dup(stream.socket.fileno()))
    with duplicate:
        return captured.original_destination(duplicate)
