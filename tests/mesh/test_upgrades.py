"""Upgrades in either HTTP, and across: HTTP/1.1's `Upgrade` and HTTP/2's extended CONNECT (RFC 8441)."""

from __future__ import annotations

import socket

import h2.events
import pytest
import trio
import trio.testing
from h2.settings import SettingCodes

from composemesh.model.flag import Flag
from composemesh.model.policy import H2Upgrade
from composemesh.proxy.upstream.upgrade import accept_of
from mesh.http2 import Peer, Request, serving
from mesh.net import OK, Net, answering, read_all, read_until
from mesh.test_bridge import HTTP1, HTTP2, app_that_speaks, fields

CLIENT = H2Upgrade.AS_CLIENT
ANNOUNCED = {SettingCodes.ENABLE_CONNECT_PROTOCOL: 1}
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ASK = (
    b"GET /chat HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: " + KEY + b"\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def open_websocket(client: Peer) -> int:
    return client.ask(
        (b"sec-websocket-version", b"13"), method=b"CONNECT", protocol=b"websocket", path=b"/chat", end=False
    )


async def chat_in_http2(peer: Peer, request: Request) -> None:
    head = dict(request.headers)
    assert (head[b":method"], head[b":protocol"], head[b":path"]) == (b"CONNECT", b"websocket", b"/chat")
    assert b"content-length" not in head
    number = request.stream_id
    peer.h2.send_headers(number, [(b":status", b"200"), (b"x-said", b"yes")])
    peer.h2.send_data(number, b"hello")
    await peer.flush()
    while True:
        event = await peer.next(h2.events.Event)
        if isinstance(event, h2.events.DataReceived):
            peer.h2.send_data(number, event.data.upper())
            await peer.flush()
        elif isinstance(event, h2.events.StreamEnded):
            peer.h2.end_stream(number)
            return


async def chat_in_http1(stream: trio.SocketStream) -> None:
    head = await read_until(stream, b"\r\n\r\n")
    assert head.startswith(b"GET /chat HTTP/1.1\r\n")
    assert head.endswith(b"\r\n\r\n"), "nothing may be sent before the server has agreed"
    said = dict(fields(head))
    assert (said[b"connection"], said[b"upgrade"]) == (b"upgrade", b"websocket")
    assert said.keys().isdisjoint({b"content-length", b"transfer-encoding"})
    accept = accept_of(said[b"sec-websocket-key"])
    await stream.send_all(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Said: yes\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\nhello"
    )
    while more := await stream.receive_some():
        await stream.send_all(more.upper())


async def either(stream: trio.SocketStream) -> None:
    """Speaks both, and announces no extended CONNECT in HTTP/2."""
    if await stream.socket.recv(4, socket.MSG_PEEK) != b"PRI ":
        await chat_in_http1(stream)
    else:
        await serving(chat_in_http2)(stream)


async def talk_in_http1(client: trio.SocketStream) -> bytes:
    """Open, shout, half-close; the answer's head."""
    await client.send_all(ASK)
    answer = await read_until(client, b"hello")
    await client.send_all(b"shout")
    assert await read_until(client, b"SHOUT") == b"SHOUT"
    await client.send_eof()
    assert await read_all(client) == b""
    return answer.removesuffix(b"hello")


async def talk_in_http2(client: Peer) -> dict[bytes, bytes]:
    number = open_websocket(client)
    await client.flush()
    head = dict((await client.next(h2.events.ResponseReceived)).headers)
    assert (await client.next(h2.events.DataReceived)).data == b"hello"
    client.h2.send_data(number, b"shout")
    await client.flush()
    assert (await client.next(h2.events.DataReceived)).data == b"SHOUT"
    client.h2.end_stream(number)
    await client.flush()
    await client.next(h2.events.StreamEnded)
    return head


async def check_record(net: Net) -> None:
    record = await net.records.next()
    assert (record.response_code, record.bytes_received, record.bytes_sent) == (101, 5, 10)
    assert record.flag is Flag.NONE


async def test_http2_to_http2(net: Net) -> None:
    app = await app_that_speaks(net, CLIENT, serving(chat_in_http2, ANNOUNCED))
    head = await talk_in_http2(Peer(await net.connect(app), client=True))
    assert (head[b":status"], head[b"x-said"]) == (b"200", b"yes")
    await check_record(net)


async def test_http2_to_http1(net: Net) -> None:
    app = await app_that_speaks(net, HTTP1, chat_in_http1)
    head = await talk_in_http2(Peer(await net.connect(app), client=True))
    assert (head[b":status"], head[b"x-said"]) == (b"200", b"yes")
    assert head.keys().isdisjoint({b"sec-websocket-accept", b"upgrade", b"connection"})
    await check_record(net)


async def test_http1_to_http2_that_has_announced_it(net: Net) -> None:
    app = await app_that_speaks(net, HTTP2, serving(chat_in_http2, ANNOUNCED))
    head = await talk_in_http1(await net.connect(app))
    assert head.startswith(b"HTTP/1.1 101 ")
    said = dict(fields(head))
    assert (said[b"connection"], said[b"upgrade"], said[b"x-said"]) == (b"upgrade", b"websocket", b"yes")
    assert said[b"sec-websocket-accept"] == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, 1.3
    await check_record(net)


@pytest.mark.parametrize("client_speaks", [HTTP1, HTTP2])
async def test_http1_is_used_where_http2_has_not_announced_it(net: Net, client_speaks: H2Upgrade) -> None:
    app = await app_that_speaks(net, HTTP2, either)
    stream = await net.connect(app)
    if client_speaks is HTTP1:
        assert b"HTTP/1.1 101 " in await talk_in_http1(stream)
    else:
        assert (await talk_in_http2(Peer(stream, client=True)))[b":status"] == b"200"
    await check_record(net)


async def test_what_is_sent_before_the_answer_waits_for_it(net: Net) -> None:
    asked, answer = trio.Event(), trio.Event()

    async def slow(stream: trio.SocketStream) -> None:
        head = await stream.receive_some()
        asked.set()
        await answer.wait()
        assert head.endswith(b"\r\n\r\n")
        accept = accept_of(dict(fields(head))[b"sec-websocket-key"])
        await stream.send_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        await stream.send_all(b"got " + await read_until(stream, b"late"))

    app = await app_that_speaks(net, HTTP1, slow)
    client = Peer(await net.connect(app), client=True)
    number = open_websocket(client)
    client.h2.send_data(number, b"early ")
    await client.flush()
    with trio.fail_after(5):
        await asked.wait()
        client.h2.send_data(number, b"late")
        await client.flush()
        await trio.testing.wait_all_tasks_blocked(0.01)
        answer.set()
        assert (await client.next(h2.events.DataReceived)).data == b"got early late"


async def test_what_was_sent_early_never_reaches_a_server_that_refuses(net: Net) -> None:
    got = b""

    async def refuse(stream: trio.SocketStream) -> None:
        nonlocal got
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        got = await read_all(stream)

    app = await app_that_speaks(net, HTTP1, refuse)
    client = Peer(await net.connect(app), client=True)
    number = open_websocket(client)
    client.h2.send_data(number, b"GET /smuggled HTTP/1.1\r\nHost: app\r\n\r\n")
    await client.flush()
    head, body, _ = await client.answer()
    assert (head[b":status"], body) == (b"403", b"no")
    await net.records.next()
    assert got == b""


SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        SWITCHING + b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        SWITCHING + b"\r\n",
        SWITCHING.replace(b"websocket", b"chat") + b"\r\n",
    ],
)
async def test_a_server_that_did_not_understand_opens_no_tunnel_in_http2(net: Net, answer: bytes) -> None:
    async def misunderstand(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(answer)
        await read_all(stream)

    app = await app_that_speaks(net, HTTP1, misunderstand)
    client = Peer(await net.connect(app), client=True)
    open_websocket(client)
    await client.flush()
    head = dict((await client.next(h2.events.ResponseReceived)).headers)
    assert (head[b":status"], head[b"x-composemesh-flag"]) == (b"502", b"UPE")


async def test_no_tunnel_for_a_second_http_on_the_wire(net: Net) -> None:
    app = await app_that_speaks(net, HTTP1, answering())
    client = Peer(await net.connect(app), client=True)
    client.ask(method=b"CONNECT", protocol=b"h2c", path=b"/", end=False)
    await client.flush()
    head, _, _ = await client.answer()
    assert head[b":status"] == b"501"


async def test_connect_is_bridged_both_ways(net: Net) -> None:
    async def proxy(stream: trio.SocketStream) -> None:
        assert (await read_until(stream, b"\r\n\r\n")).startswith(b"CONNECT db:5432 HTTP/1.1\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        while more := await stream.receive_some():
            await stream.send_all(more.upper())

    async def proxy_in_http2(peer: Peer, request: Request) -> None:
        assert dict(request.headers)[b":authority"] == b"db:5432"
        peer.h2.send_headers(request.stream_id, [(b":status", b"200")])
        await peer.flush()
        data = (await peer.next(h2.events.DataReceived)).data
        peer.h2.send_data(request.stream_id, data.upper(), end_stream=True)

    app = await app_that_speaks(net, HTTP1, proxy)
    client = Peer(await net.connect(app), client=True)
    number = client.h2.get_next_available_stream_id()
    client.h2.send_headers(number, [(b":method", b"CONNECT"), (b":authority", b"db:5432")])
    client.h2.send_data(number, b"early")
    await client.flush()
    assert (await client.next(h2.events.DataReceived)).data == b"EARLY"
    client.h2.end_stream(number)
    await client.flush()
    await client.next(h2.events.StreamEnded)

    net.remove(app)
    app = await app_that_speaks(net, HTTP2, serving(proxy_in_http2))
    stream = await net.connect(app)
    await stream.send_all(b"CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n")
    assert (await read_until(stream, b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    await stream.send_all(b"shout")
    assert await read_until(stream, b"SHOUT") == b"SHOUT"
