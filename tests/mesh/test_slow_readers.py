"""Clients of HTTP/2 that ask and do not read: they fill no memory, and stop nobody else."""

from __future__ import annotations

import socket

import h2.events
import pytest
import trio
import trio.testing

from composemesh.proxy import multiplex
from mesh.http2 import Peer, Request, serving
from mesh.net import Net
from mesh.test_http2_abuse import HELLO
from wire.h2.raw import PING, REQUEST, block, frame, headers, settings

ASKED = 1000
"""Requests. The kernels at both ends take the answers to some of them."""
TOGETHER = 20
FIELD = b"x" * 2000
READERS = 90
PATIENCE = 0.5
"""Seconds without another request at the application, after which none will come."""


@pytest.mark.parametrize(("method", "body"), [(b"HEAD", b""), (b"GET", b"ok")])
async def test_who_reads_no_answer_is_heard_no_further(net: Net, method: bytes, body: bytes) -> None:
    app = net.add("app")
    asked = 0
    more = trio.Event()

    async def answer(peer: Peer, request: Request) -> None:
        nonlocal asked, more
        asked += 1
        head = [(b":status", b"200"), (b"x-big", b"%d" % asked + FIELD)]
        peer.h2.send_headers(request.stream_id, head, end_stream=not body)
        if body:
            peer.h2.send_data(request.stream_id, body, end_stream=True)
        more.set()
        more = trio.Event()

    await net.serve(app, serving(answer))
    door = net.captures.value.captured[net.caller.life].outbound[0]
    door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    client = await net.connect(app)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw = block([(b":method", method), *REQUEST[1:]])
    await client.send_all(HELLO + settings((4, 2**31 - 1)))
    for first in range(0, ASKED, TOGETHER):
        numbers = range(2 * first + 1, 2 * (first + TOGETHER), 2)
        await client.send_all(b"".join(headers(number, raw=raw) for number in numbers))
        with trio.move_on_after(PATIENCE) as heard_no_further:
            while asked < first + TOGETHER:
                await more.wait()
                heard_no_further.deadline = trio.current_time() + PATIENCE
        if heard_no_further.cancelled_caught:
            break
    assert 100 <= asked < ASKED // 2


async def test_who_reads_nothing_gets_no_signs_of_life_either(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred answers to PINGs a second are not much, but in a day they are three hundred megabytes."""
    monkeypatch.setattr(multiplex, "MOST_UNSENT", 1000)
    app = net.add("app")

    async def answer(peer: Peer, request: Request) -> None:
        peer.h2.send_headers(request.stream_id, [(b":status", b"200")])
        peer.h2.send_data(request.stream_id, bytes(16384))

    await net.serve(app, serving(answer))
    door = net.captures.value.captured[net.caller.life].outbound[0]
    door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    client = await net.connect(app)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    await client.send_all(HELLO + settings((4, 1 << 20)))
    [connection] = net.fleet.sidecars[net.caller.life].connections
    with trio.fail_after(5):
        for number in range(1, 100, 2):
            await client.send_all(headers(number))
            await trio.testing.wait_all_tasks_blocked(0.005)
            if connection.http2 is not None and connection.http2._link.congested:
                break
    assert connection.http2 is not None
    link = connection.http2._link
    assert link.congested
    most = 0
    for _ in range(300):
        await client.send_all(frame(PING, 0, 0, bytes(8)))
        await trio.testing.wait_all_tasks_blocked()
        most = max(most, link.codec.pending)
    assert 1000 < most < 2000


async def test_who_stops_reading_does_not_stop_other_callers(net: Net) -> None:
    """They share connections to the application, and a window on each."""
    app = net.add("app")
    whole = b"x" * (1 << 20)

    async def answer(peer: Peer, request: Request) -> None:
        peer.h2.send_headers(request.stream_id, [(b":status", b"200")])
        body = whole if dict(request.headers)[b":path"] == b"/whole" else b"ok"
        room = peer.h2.local_flow_control_window(request.stream_id)
        for at in range(0, min(room, len(body)), 16384):
            peer.h2.send_data(request.stream_id, body[at : min(at + 16384, room)])
        if room >= len(body):
            peer.h2.end_stream(request.stream_id)

    await net.serve(app, serving(answer))
    bystander = Peer(await net.connect(app), client=True)
    bystander.request(b"/")
    await bystander.flush()
    assert (await bystander.answer())[1] == b"ok"
    stopped = Peer(await net.connect(app), client=True)
    stopped.h2.update_settings({4: 0})
    for _ in range(READERS):
        stopped.request(b"/whole")
        await stopped.flush()
        await stopped.next(h2.events.ResponseReceived)
    bystander.request(b"/")
    await bystander.flush()
    assert (await bystander.answer())[1] == b"ok"


async def test_a_body_that_nobody_reads_does_not_stop_other_callers(net: Net) -> None:
    """The server has one window for all bodies on a connection, and gives none back for what it has not read."""
    app = net.add("app")
    came = trio.Event()

    async def handle(stream: trio.SocketStream) -> None:
        peer = Peer(stream, client=False)
        await peer.flush()
        paths = {}
        while data := await stream.receive_some():
            for event in peer.h2.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    paths[event.stream_id] = dict(event.headers)[b":path"]
                elif isinstance(event, h2.events.DataReceived) and paths[event.stream_id] == b"/unread":
                    if peer.h2.inbound_flow_control_window == 0:
                        came.set()
                elif isinstance(event, h2.events.StreamEnded):
                    peer.h2.send_headers(event.stream_id, [(b":status", b"200")], end_stream=True)
            await peer.flush()

    async def ask(client: Peer, path: bytes, body: bytes) -> None:
        number = client.request(path, b"POST", end=False)
        for at in range(0, len(body), 16384):
            client.h2.send_data(number, body[at : at + 16384])
        client.h2.end_stream(number)
        await client.flush()

    await net.serve(app, handle)
    unread, bystander = [Peer(await net.connect(app), client=True) for _ in range(2)]
    await bystander.flush()
    await ask(bystander, b"/", b"a body")
    await bystander.answer()
    await unread.flush()
    await unread.next(h2.events.RemoteSettingsChanged)
    await unread.next(h2.events.WindowUpdated)
    await ask(unread, b"/unread", b"x" * 200_000)
    with trio.fail_after(5):
        await came.wait()
    await ask(bystander, b"/", b"a body")
    head, _, _ = await bystander.answer()
    assert head[b":status"] == b"200"
