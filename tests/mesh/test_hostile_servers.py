"""Applications that lie, babble, stall or die: each with the status, the flag and the record it earns."""

from __future__ import annotations

import socket
import struct

import pytest
import trio
import trio.testing

from composemesh.model.flag import Flag
from composemesh.model.snapshot import Protocol, ServiceSettings, Snapshot
from composemesh.proxy.upstream.h1 import MOST_INTERIM
from mesh.net import GET, OK, PORT, Here, Net, answering, ask, read_all, read_until

POST = b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 2\r\n\r\nhi"
UPE, UC, NONE = Flag.UPSTREAM_PROTOCOL_ERROR, Flag.UPSTREAM_CONNECTION_TERMINATION, Flag.NONE


@pytest.fixture
async def net(net: Net) -> Net:
    """Ports are declared, so that whatever a server does first it does to a request."""
    net.snapshot.publish(
        Snapshot("test", services={"app": ServiceSettings("app", "v1", ports={PORT: Protocol.HTTP})})
    )
    return net


async def refused(net: Net, answer: bytes) -> bytes:
    """What a client sees of a server that gives this answer and closes."""
    app = net.add("app")

    async def handle(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(answer)
        await stream.send_eof()
        while await stream.receive_some():
            pass

    await net.serve(app, handle)
    client = await net.connect(app)
    await client.send_all(POST)
    return await read_until(client, b")\n")


@pytest.mark.parametrize(
    ("answer", "status", "flag"),
    [
        (b"\r\n" + OK, 502, UPE),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 502, UPE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", 502, UPE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502, UPE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", 502, UPE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok", 502, UPE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok", 502, UPE),
        (b"HTTP/1.1 2\xb200 OK\r\n\r\n", 502, UPE),
        (b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok", 502, UPE),
        (b"ICY 200 OK\r\n\r\n", 502, UPE),
        (b"\x00\x01\x02\x03" * 100, 502, UPE),
        (b"220 mail.example ESMTP\r\n\r\n", 502, UPE),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n", 502, UPE),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", 502, UPE),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", 502, UPE),
        (b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", 502, UPE),
        (b"HTTP/1.1 200 OK\rSet-Cookie: split\r\nContent-Length: 2\r\n\r\nok", 502, UPE),  # a lone CR in the reason
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", 502, UPE),
        (b"HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\nok", 502, UPE),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 502, UPE),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", 502, UPE),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * (MOST_INTERIM + 1) + OK, 502, UPE),
        (b"", 503, UC),
        (b"HTTP/1.1 200 OK\r\nContent-", 503, UC),
        (b"HTTP/1.1 100 Continue\r\n\r\n", 503, UC),
    ],
)
async def test_what_is_no_answer_becomes_the_meshs_own(net: Net, answer: bytes, status: int, flag: Flag) -> None:
    data = await refused(net, answer)
    data = data[data.rindex(b"HTTP/1.1 ") :]  # after interim responses, if there were any
    assert data.startswith(b"HTTP/1.1 %d " % status)
    assert b"x-composemesh-flag: %b\r\n" % flag.value.encode() in data
    assert b"split" not in data
    record = await net.records.next()
    assert (record.response_code, record.flag, record.attempts) == (status, flag, 1)
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert len(net.records.all) == 1


@pytest.mark.parametrize(
    ("body", "flag"),
    [
        (b"Content-Length: 5\r\n\r\nok", UC),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", UC),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n-1\r\n", UPE),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\nokX\r\n0\r\n\r\n", UPE),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n", UPE),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\nffffffffffffffffff\r\n", UPE),
    ],
)
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_body_that_breaks_is_never_complete(net: Net, body: bytes, flag: Flag, version: bytes) -> None:
    app = net.add("app")
    head, _, rest = body.partition(b"\r\n\r\n")

    async def handle(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + rest[:2])
        await trio.sleep(0.01)
        await stream.send_all(rest[2:])

    await net.serve(app, handle)
    client = await net.connect(app)
    await client.send_all(b"GET / HTTP/%b\r\nHost: app\r\n\r\n" % version)
    with pytest.raises(trio.BrokenResourceError):
        await read_all(client)
    record = await net.records.next()
    assert (record.response_code, record.flag) == (200, flag)


async def test_an_answer_before_the_request_belongs_to_nobody(net: Net) -> None:
    """What lies on a connection before it was used again cannot be the answer to what was not yet asked."""
    app = net.add("app")

    async def handle(stream: trio.SocketStream) -> None:
        while await stream.receive_some():
            await stream.send_all(OK)
            await trio.sleep(0.01)
            await stream.send_all(OK.replace(b"ok", b"no"))

    await net.serve(app, handle)
    client = await net.connect(app)
    for _ in range(5):
        assert (await ask(client, GET)).endswith(b"ok")
        await trio.sleep(0.03)
    assert [record.response_code for record in net.records.all] == [200] * 5


async def test_interim_responses_lose_what_concerns_one_connection(net: Net) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: close, x-hop\r\nX-Hop: 1\r\n"
    app = net.add("app")
    await net.serve(app, answering(hints + b"Keep-Alive: 5\r\nContent-Length: 0\r\n\r\n" + OK))
    client = await net.connect(app)
    for _ in range(2):
        answer = await ask(client, GET)
        interim = answer.partition(b"\r\n\r\n")[0]
        assert interim == b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>"


async def test_http_1_0_is_told_nothing_interim_and_an_unexpected_100_nobody(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, answering(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK))
    old = await net.connect(app)
    await old.send_all(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    assert (await read_all(old)).startswith(b"HTTP/1.1 200 ")
    assert (await ask(await net.connect(app), GET)).startswith(b"HTTP/1.1 102 ")


@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        (GET, b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
        ),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ],
)
async def test_where_there_is_no_body_there_is_no_word_of_its_length(
    net: Net, request_bytes: bytes, answer: bytes
) -> None:
    app = net.add("app")
    await net.serve(app, answering(answer))
    client = await net.connect(app)
    await client.send_all(request_bytes)
    head = await read_until(client, b"\r\n\r\n")
    assert head.startswith(answer[:12])
    assert b"content-length" not in head.lower()
    assert b"transfer-encoding" not in head.lower()


async def test_endless_heads_end(net: Net) -> None:
    app = net.add("app")
    sent = 0

    async def handle(stream: trio.SocketStream) -> None:
        nonlocal sent
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            await stream.send_all(b"y" * 1000)
            sent += 1000
            await trio.lowlevel.checkpoint()

    await net.serve(app, handle)
    assert (await ask(await net.connect(app), POST, b"(UPE)")).startswith(b"HTTP/1.1 502 ")
    assert sent < 3_000_000  # what the kernel's buffers took


async def test_a_head_that_drips_is_awaited_for_as_long_as_its_client_waits(net: Net) -> None:
    app = net.add("app")

    async def handle(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        for byte in OK:
            await stream.send_all(bytes([byte]))
            await trio.sleep(0.001)

    await net.serve(app, handle)
    assert (await ask(await net.connect(app), GET)).endswith(b"\r\n\r\nok")


class Stage:
    """How far a server gets before it resets the connection."""

    ACCEPTED, HALF_A_HEAD, HEAD, BODY = range(4)


@pytest.mark.parametrize("stage", [Stage.ACCEPTED, Stage.HALF_A_HEAD, Stage.HEAD, Stage.BODY])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_reset_at_every_stage(net: Net, stage: int, streamed: bool) -> None:
    app = net.add("app")
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"
    sizes = {Stage.HALF_A_HEAD: 20, Stage.HEAD: len(whole) - 5, Stage.BODY: len(whole)}

    async def handle(stream: trio.SocketStream) -> None:
        if stage != Stage.ACCEPTED:
            await read_until(stream, b"\r\n\r\n")
            await stream.send_all(whole[: sizes[stage]])
            await trio.sleep(0.02)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await stream.aclose()

    await net.serve(app, handle)
    client = await net.connect(app)
    body = b"hi" if streamed else b"hihi"
    await client.send_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n" + body)
    began = stage in (Stage.HEAD, Stage.BODY)
    if began:
        with pytest.raises(trio.BrokenResourceError):
            await read_all(client)
    else:
        assert (await read_until(client, b")\n")).startswith(b"HTTP/1.1 503 ")
    record = await net.records.next()
    assert record.response_code == (200 if began else 503)
    # A reset that comes before the request has left is a connection that never was.
    assert record.flag is UC or (stage == Stage.ACCEPTED and record.flag is Flag.UPSTREAM_CONNECTION_FAILURE)


@pytest.mark.parametrize("complete", [False, True])
async def test_a_connection_whose_request_was_not_sent_whole_is_never_used_again(net: Net, complete: bool) -> None:
    """The server answers without reading; the rest of the body still waits for room in the server's buffers."""
    app = net.add("app")
    net.captures.value.captured[app.life].namespace = Here(room=4096)
    heads: list[bytes] = []
    go_on = trio.Event()

    async def handle(stream: trio.SocketStream) -> None:
        heads.append(await read_until(stream, b"\r\n\r\n"))
        if len(heads) == 1:
            await go_on.wait()
        await stream.send_all(OK)
        if len(heads) == 1:
            await trio.sleep_forever()

    await net.serve(app, handle, room=4096)
    client = await net.connect(app)
    await client.send_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n")
    await trio.sleep(0.02)
    await client.send_all(b"x" * (60_000 if complete else 59_999))
    await trio.sleep(0.05)
    go_on.set()
    answer = await read_until(client, b"ok")
    assert (b"connection: close" in answer) is not complete
    assert (await ask(await net.connect(app), GET)).endswith(b"ok")
    assert len(heads) > 1
    assert heads[1].startswith(b"GET / HTTP/1.1\r\n")


async def test_an_upgrade_amid_the_requests_body_is_refused(net: Net) -> None:
    app = net.add("app")
    seen: list[bytes] = []
    await net.serve(app, answering(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", seen))
    client = await net.connect(app)
    asked = b"Content-Length: 9\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    await client.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n" + asked + b"\r\nbegin")
    assert (await read_until(client, b"(UPE)")).startswith(b"HTTP/1.1 502 ")
    assert b"upgrade" not in seen[0].lower()
    assert (await net.records.next()).flag is UPE


async def test_h2c_that_was_not_asked_for_is_no_tunnel(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, answering(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"))
    client = await net.connect(app)
    await client.send_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert (await read_until(client, b"(UPE)")).startswith(b"HTTP/1.1 502 ")
