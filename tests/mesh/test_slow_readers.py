"""Clients of HTTP/2 that ask and do not read: what is to be said to them must not fill the memory."""

from __future__ import annotations

import socket

import pytest
import trio

from mesh.http2 import Peer, Request, serving
from mesh.net import Net
from mesh.test_http2_abuse import HELLO
from wire.h2.raw import REQUEST, block, headers, settings

ASKED = 1000
"""Requests. The kernels at both ends take the answers to some of them."""
TOGETHER = 20
FIELD = b"x" * 2000
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
