"""Floods in HTTP/2 against a running proxy: each ends its own connection, soon and cheaply, and nobody else's."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import h2.events
import h2.exceptions
import pytest
import trio
import trio.testing

from composemesh.proxy.codec.h2.frames import PREFACE
from composemesh.proxy.multiplex import PAUSE
from mesh.http2 import Peer
from mesh.net import Net
from mesh.test_hostile_clients import resident
from wire.h2.abuses import ABUSES, Steps
from wire.h2.raw import ACK, settings

MOST_FRAMES = 2000
MOST_MEMORY = 20_000_000
BATCH = 20
"""Frames sent before the proxy gets to see them: what is on its way when it has had enough."""
BODY = b"x" * 8000
HELLO = PREFACE + settings() + settings(flags=ACK)


async def serve_bodies(stream: trio.SocketStream) -> None:
    """An application that answers all that it is asked, and bears whatever is taken back."""
    peer = Peer(stream, client=False)
    await peer.flush()
    while data := await stream.receive_some():
        for event in peer.h2.receive_data(data):
            try:
                if isinstance(event, h2.events.RequestReceived):
                    peer.h2.send_headers(event.stream_id, [(b":status", b"200")])
                    peer.h2.send_data(event.stream_id, BODY, end_stream=True)
                elif isinstance(event, h2.events.DataReceived):
                    peer.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            except h2.exceptions.ProtocolError:
                pass  # the stream was reset in the same breath
        await peer.flush()


def listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


async def ask(peer: Peer) -> None:
    """One good request, answered whole."""
    peer.request(b"/page")
    await peer.flush()
    head = await peer.next(h2.events.ResponseReceived)
    assert dict(head.headers)[b":status"] == b"200", head
    await peer.next(h2.events.StreamEnded)


def batches(steps: Steps) -> list[tuple[int, bytes]]:
    """Twice as many frames as any flood may last for, in pieces: how many there are in each, and their bytes."""
    cut: list[tuple[int, bytes]] = []
    total = 0
    while total <= 2 * MOST_FRAMES and sum(len(raw) for _, raw in cut) < 16_000_000:
        frames, raw = 0, b""
        while frames < BATCH:
            count, step = next(steps)
            frames, raw = frames + count, raw + step
        cut.append((frames, raw))
        total += frames
    return cut


async def flood(
    stream: trio.SocketStream, pieces: list[tuple[int, bytes]], after_each: Callable[[], Awaitable[object]]
) -> int:
    """Send until the connection has ended; how many frames that took. `after_each` piece is awaited."""
    sent = 0
    ended = trio.Event()

    async def listen() -> None:
        try:
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass
        ended.set()

    async with stream, trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        try:
            await stream.send_all(HELLO)
            for frames, raw in pieces:
                await stream.send_all(raw)
                sent += frames
                await after_each()
                if ended.is_set():
                    break
        except trio.BrokenResourceError:
            pass
        with trio.move_on_after(5):
            await ended.wait()
        nursery.cancel_scope.cancel()
    return sent


@pytest.mark.parametrize("name", ABUSES)
async def test_an_abuse_ends_its_own_connection_and_nobody_elses(net: Net, name: str) -> None:
    app = net.add("app")
    await net.serve(app, serve_bodies)
    neighbour = Peer(await net.connect(app), client=True)
    await ask(neighbour)
    before = resident()

    async def until_quiet() -> None:
        await trio.testing.wait_all_tasks_blocked(2 * PAUSE)

    frames = await flood(await net.connect(app), batches(ABUSES[name]()), until_quiet)
    assert frames <= MOST_FRAMES
    assert resident() - before < MOST_MEMORY
    await ask(neighbour)
    await until_quiet()
    assert len(net.fleet.sidecars[net.caller.life].connections) == 1
    assert net.fleet.planner.endpoints[app.life].active == 0
