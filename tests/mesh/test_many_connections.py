"""Thousands of connections that wait: what they cost, and that they cost it only once."""

from __future__ import annotations

import os
import resource
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from bench.processes import await_answer, free_port, resident_bytes, running
from composemesh.proxy.codec.h2.frames import PREFACE
from mesh.net import GET, Handler, answering
from mesh.test_exhaustion import python_path
from mesh.test_http2_abuse import BODY, listens, serve_bodies
from wire.h2.raw import ACK, headers, settings

MIB = 1 << 20
WARM = 50
HELLO = PREFACE + settings() + settings(flags=ACK) + headers(1)


def in_http1(stream: socket.socket) -> None:
    stream.sendall(GET)
    while not (data := stream.recv(65536)).endswith(b"ok"):
        assert data, "closed"


def in_http2(stream: socket.socket) -> None:
    stream.sendall(HELLO)
    data = b""
    while len(data) < len(BODY):
        more = stream.recv(65536)
        assert more, f"closed after {data!r}"
        data += more


def in_bytes(stream: socket.socket) -> None:
    stream.sendall(b"*1\r\n")
    left = 4
    while left:
        left -= len(stream.recv(left))


async def echo(stream: trio.SocketStream) -> None:
    while more := await stream.receive_some():
        await stream.send_all(more)


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def connections(port: int, count: int, talk: Callable[[socket.socket], None]) -> list[socket.socket]:
    """So many clients that have said something, been answered, and are silent."""
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            opened.append(socket.create_connection(("127.0.0.1", port), timeout=30))
            talk(opened[-1])
    except BaseException:
        for stream in opened:
            stream.close()
        raise
    return opened


@pytest.mark.slow
@pytest.mark.parametrize(
    ("talk", "handler", "count", "most"),
    [
        (in_http1, answering(), 200, 8),
        (in_http1, answering(), 5000, 75),
        (in_http2, serve_bodies, 5000, 150),
        (in_bytes, echo, 5000, 100),
    ],
    ids=["200 in HTTP/1.1", "5,000 in HTTP/1.1", "5,000 in HTTP/2", "5,000 in TCP"],
)
async def test_connections_that_wait(
    talk: Callable[[socket.socket], None],
    handler: Handler,
    count: int,
    most: int,
    tmp_path: Path,
    nursery: trio.Nursery,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`most`: MiB that they may take. A second crowd takes the place of the first, and no memory of its own."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 3 * count:
        pytest.skip(f"this process may have too few descriptors for {count} connections (ulimit -n)")
    port, origin = free_port(), free_port()
    listeners = await trio.open_tcp_listeners(origin, host="127.0.0.1", backlog=1024)

    async def guarded(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            await handler(stream)

    nursery.start_soon(trio.serve_listeners, guarded, listeners)
    mesh = [sys.executable, "-m", "bench.mesh", "--listen", str(port), "--origin", str(origin)]

    def crowd(count: int) -> list[socket.socket]:
        return connections(port, count, talk)

    with running("mesh", ["env", f"PYTHONPATH={python_path()}", *mesh], tmp_path) as process:
        await_answer(port, [process], listens)
        pid = process.process.pid
        for stream in await trio.to_thread.run_sync(crowd, WARM):
            stream.close()
        before = resident_bytes(pid)
        taken = []
        for size in (count, count // 4):
            streams = await trio.to_thread.run_sync(crowd, size)
            taken.append((resident_bytes(pid) - before) / MIB)
            assert descriptors(pid) > size
            for stream in streams:
                stream.close()
            with trio.fail_after(10):
                while descriptors(pid) > size / 2:  # noqa: ASYNC110 - nobody is told
                    await trio.sleep(0.05)
        assert process.log.read_text() == ""
    with capsys.disabled():
        print(f"\n  {count} connections: {taken[0]:.1f} MiB, and then {taken[1]:.1f} MiB;", end="")
    assert taken[0] < most
    assert taken[1] < taken[0] * 1.08 + 2
