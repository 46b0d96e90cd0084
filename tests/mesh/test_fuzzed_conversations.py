"""Ten thousand conversations of broken bytes, both sides at once, against one mesh: it lives, and nothing is left."""

from __future__ import annotations

import os
import random
import socket
import struct

import structlog.testing
import trio

from composemesh.model.snapshot import Protocol, ServiceSettings, Snapshot
from composemesh.model.workload import Workload
from mesh.net import GET, OK, PORT, Handler, Net, answering, ask

CONVERSATIONS = 10_000
AT_ONCE = 40
RESET = struct.pack("ii", 1, 0)

SETTINGS = b"\0\0\0\4\0\0\0\0\0"
WORDS = [
    b"GET", b"POST", b"CONNECT", b"PRI", b" ", b"/", b"*", b"http://a/", b"a:80", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n",
    b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"Host: a\r\n", b"Content-Length: 5\r\n", b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b"ffffffff\r\n", b"hello", b"Connection: ",
    b"close\r\n", b"upgrade\r\n", b"Upgrade: websocket\r\n", b"Expect: 100-continue\r\n", b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\n\r\n",
    b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b": ", b"\0", b"\x16\x03\x01", b"x" * 9000,
    GET, OK, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n", b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS + b"\0\0\6\1\5\0\0\0\1\x82\x86\x84\x41\1a", SETTINGS,
    b"\0\0\6\1\4\0\0\0\3\x83\x86\x84\x41\1a", b"\0\0\5\0\0\0\0\0\3hello", b"\0\0\4\3\0\0\0\0\1\0\0\0\x08",
    b"\0\0\1\1\5\0\0\0\1\x88", b"\0\0\2\0\1\0\0\0\1ok", b"\0\0\x08\7\0\0\0\0\0\0\0\0\0\0\0\0\0",
]  # fmt: skip


def utter(chance: random.Random) -> bytes:
    """Something between a good message and noise."""
    said = b"".join(chance.choices(WORDS, k=chance.randint(1, 6)))
    if chance.random() < 0.3 and said:
        at = chance.randrange(len(said))
        said = said[:at] + chance.randbytes(chance.randint(0, 4)) + said[at + chance.randint(0, 3) :]
    return said


async def babble(stream: trio.SocketStream, chance: random.Random) -> None:
    """Talk, listen a little, and leave in one way or another."""
    try:
        for _ in range(chance.randint(1, 4)):
            with trio.move_on_after(0.05):
                await stream.send_all(utter(chance))
            with trio.move_on_after(chance.choice([0, 0.001, 0.005])):
                if not await stream.receive_some():
                    break
        way = chance.randrange(3)
        if way == 0:
            await stream.send_eof()
            with trio.move_on_after(0.01):
                while await stream.receive_some():
                    pass
        elif way == 1:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        await trio.aclose_forcefully(stream)


def mad(chance: random.Random) -> Handler:
    """An application that answers properly now and then."""

    async def handle(stream: trio.SocketStream) -> None:
        with trio.move_on_after(0.5):
            while await stream.receive_some():
                if chance.random() < 0.4:
                    await stream.send_all(OK)
                else:
                    await babble(stream, chance)
                    return

    return handle


async def test_whatever_is_said_the_mesh_lives_and_forgets(net: Net) -> None:
    chance = random.Random(2026)
    declared = {name: ServiceSettings(name, "v1", ports={PORT: Protocol.HTTP}) for name in ("app", "sane")}
    net.snapshot.publish(Snapshot("test", services=declared))
    apps = [net.add("app"), net.add("auto"), net.add("sane")]
    for app in apps[:2]:
        await net.serve(app, mad(chance))
    await net.serve(apps[2], answering())
    sidecar = net.fleet.sidecars[net.caller.life]
    steady = await net.connect(apps[2])
    assert (await ask(steady, GET)).endswith(b"ok")
    tasks, descriptors = trio.lowlevel.current_statistics().tasks_living, len(os.listdir("/proc/self/fd"))
    unwell: list[object] = []

    async def converse(target: Workload, number: int) -> None:
        net._ways[sidecar.captured.outbound[0].getsockname()[:2]] = (target.addresses[0], PORT)
        try:
            stream = await trio.open_tcp_stream(*sidecar.captured.outbound[0].getsockname()[:2])
        except OSError as problem:
            unwell.append(problem)
            return
        await babble(stream, random.Random(number))

    with structlog.testing.capture_logs() as logs:
        limit = trio.CapacityLimiter(AT_ONCE)
        async with trio.open_nursery() as nursery:
            for number in range(CONVERSATIONS):
                await limit.acquire_on_behalf_of(number)

                async def one(number: int = number) -> None:
                    try:
                        await converse(apps[number % 3], number)
                    finally:
                        limit.release_on_behalf_of(number)

                nursery.start_soon(one)
        with trio.fail_after(30):
            while len(sidecar.connections) > 1 or trio.lowlevel.current_statistics().tasks_living > tasks:  # noqa: ASYNC110
                await trio.sleep(0.05)
    assert logs == []
    assert unwell == []
    assert (await ask(steady, GET)).endswith(b"ok")
    for endpoint in net.fleet.planner.endpoints.values():
        assert endpoint.active == 0
        endpoint.pools.prune(float("inf"))
    await trio.sleep(0.05)
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 2
