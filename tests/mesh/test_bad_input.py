"""Bad input, as people meet it: what is half, early, late, twice, never, too short, too long, or in crumbs.

Whole tables of malformed messages are in `test_hostile_servers`, `test_hostile_http2_servers` and `wire`.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Awaitable, Callable

import pytest
import trio

from composemesh.model.flag import Flag
from composemesh.model.snapshot import Protocol, ServiceSettings, Snapshot
from mesh.http2 import Peer, Request, serving
from mesh.net import GET, OK, PORT, Net, answering, ask, read_all, read_until
from mesh.test_hostile_clients import resident

CHUNKED = b"POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n"
DPE, DC = Flag.DOWNSTREAM_PROTOCOL_ERROR, Flag.DOWNSTREAM_CONNECTION_TERMINATION
CRUMBS = 10_000
LONGEST_TURN = 0.01
"""Seconds of processor time: less than the proxy takes over 64 KiB of crumbs, and ten times what it takes at once."""
SLOW = 200
SERVED = 100
"""Requests of others beside the slow ones."""


@pytest.fixture
async def net(net: Net) -> Net:
    """The port is declared: whatever a server does first, it does to a request."""
    net.snapshot.publish(
        Snapshot("test", services={"app": ServiceSettings("app", "v1", ports={PORT: Protocol.HTTP})})
    )
    return net


async def silent(stream: trio.SocketStream) -> None:
    """A server that hears everything and never answers."""
    while await stream.receive_some():
        pass


async def test_who_half_closes_before_the_answer_has_gone(net: Net) -> None:
    """As to Envoy and nginx: the end of what a client sends is its end, and the server is told."""
    app = net.add("app")
    told = trio.Event()

    async def never(stream: trio.SocketStream) -> None:
        await silent(stream)
        told.set()

    await net.serve(app, never)
    client = await net.connect(app)
    await client.send_all(GET)
    await client.send_eof()
    with trio.fail_after(2):
        await told.wait()
    record = await net.records.next()
    assert (record.response_code, record.flag) == (0, DC)


async def test_a_server_that_never_answers_is_waited_for_as_long_as_its_client_waits(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, silent)
    client = await net.connect(app)
    await client.send_all(GET)
    await trio.sleep(0.1)
    assert net.records.all == []
    await client.aclose()
    record = await net.records.next()
    assert (record.response_code, record.flag, record.attempts) == (0, DC, 1)


async def test_an_answer_that_comes_with_the_connection_moves_no_other_by_one(net: Net) -> None:
    """It answers the request for which the connection was made; what answers that one later is thrown away."""
    app = net.add("app")
    connections = itertools.count(1)

    async def hasty(stream: trio.SocketStream) -> None:
        number = next(connections)
        await stream.send_all(OK.replace(b"ok", b"%da" % number))
        while await stream.receive_some():
            await stream.send_all(OK.replace(b"ok", b"%db" % number))

    await net.serve(app, hasty)
    client = await net.connect(app)
    for number in range(1, 6):
        assert (await ask(client, GET, b"%da" % number)).startswith(b"HTTP/1.1 200 ")
        await trio.sleep(0.02)


@pytest.mark.parametrize("farewell", [b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n", b"junk"])
async def test_what_an_idle_connection_says_is_nobodys_answer(net: Net, farewell: bytes) -> None:
    app = net.add("app")
    connections = 0

    async def impatient(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(OK)
        await trio.sleep(0.02)
        await stream.send_all(farewell)
        await stream.aclose()

    await net.serve(app, impatient)
    client = await net.connect(app)
    for number in range(1, 6):
        assert (await ask(client, GET)).startswith(b"HTTP/1.1 200 ")
        assert connections == number
        await trio.sleep(0.05)
    assert {(record.response_code, record.flag, record.attempts) for record in net.records.all} == {
        (200, Flag.NONE, 1)
    }


async def test_a_request_shorter_than_it_said_never_looks_whole(net: Net) -> None:
    app = net.add("app")
    send, heard = trio.open_memory_channel[bytes](2)

    async def keep(stream: trio.SocketStream) -> None:
        try:
            await send.send(await read_all(stream))
        except trio.BrokenResourceError:
            await send.send(b"cut")

    await net.serve(app, keep)
    for request in (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello", CHUNKED + b"5\r\nhello\r\n"):
        client = await net.connect(app)
        await client.send_all(request)
        await trio.sleep(0.02)
        await client.aclose()
    records = [await net.records.next(number) for number in (1, 2)]
    assert [(record.response_code, record.flag) for record in records] == [(0, DC)] * 2
    with trio.fail_after(5):
        for _ in records:
            assert not (await heard.receive()).endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("request_bytes", "served"),
    [
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi, and more\r\n\r\n", 1),
        (CHUNKED + b"2\r\nhi and more\r\n0\r\n\r\n", 0),
        (CHUNKED + b"2\r\nhi\r\n0\r\nContent-Length: 9\r\n\r\n", 0),
        (CHUNKED + b"2\r\nhi\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", 0),
        (CHUNKED + b"2\r\nhi\r\n0\r\nHost: b\r\n\r\n", 0),
        (CHUNKED + b"2\r\nhi\r\n0\r\nTrailer: x\r\n\r\n", 0),
        (CHUNKED + b"2\r\nhi\r\n0\r\nno colon\r\n\r\n", 0),
        (CHUNKED + b"2\r\nhi\r\n0\r\nX: a\0b\r\n\r\n", 0),
        (CHUNKED + b"2\r\nhi\r\n0\r\nX: " + b"y" * 9000 + b"\r\n\r\n", 0),
        (CHUNKED + b"2\r\nhi\r\n0\r\n" + b"X: y\r\n" * 101 + b"\r\n", 0),
    ],
    ids=lambda value: str(value)[-40:] if isinstance(value, bytes) else "",
)
@pytest.mark.parametrize("pause", [0.0, 0.02])
async def test_a_request_longer_than_it_said_or_with_such_trailers(
    net: Net, request_bytes: bytes, served: int, pause: float
) -> None:
    app = net.add("app")
    seen: list[bytes] = []
    await net.serve(app, answering(OK, seen) if served else silent)
    client = await net.connect(app)
    end = request_bytes.index(b"\r\n\r\n") + 6
    await client.send_all(request_bytes[:end])
    await trio.sleep(pause)
    await client.send_all(request_bytes[end:])
    answer = await read_all(client)
    assert answer.count(b"HTTP/1.1 200 ") == served
    last = answer[answer.rindex(b"HTTP/1.1 ") :]
    assert last.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 "))
    assert b"x-composemesh-flag: DPE\r\n" in last
    record = await net.records.next(served + 1)
    assert (record.response_code // 100, record.flag) == (4, DPE)


async def test_ten_thousand_crumbs_each_way(net: Net) -> None:
    app = net.add("app")
    crumbs = b"1\r\nx\r\n" * CRUMBS + b"0\r\n\r\n"

    async def echo(stream: trio.SocketStream) -> None:
        data = await read_until(stream, b"0\r\n\r\n")
        assert data.partition(b"\r\n\r\n")[2].count(b"x") == CRUMBS
        await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(crumbs), 1000):
            await stream.send_all(crumbs[at : at + 1000])

    await net.serve(app, echo)
    client = await net.connect(app)
    before = resident()

    async def send() -> None:
        await client.send_all(CHUNKED)
        for at in range(0, len(crumbs), 1000):
            await client.send_all(crumbs[at : at + 1000])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        answer = await read_until(client, b"\r\n0\r\n\r\n")
    assert answer.partition(b"\r\n\r\n")[2].count(b"x") == CRUMBS
    assert resident() - before < 16_000_000
    record = await net.records.next()
    assert (record.response_code, record.bytes_received, record.bytes_sent) == (200, CRUMBS, CRUMBS)


async def test_others_have_their_turn_amid_crumbs(net: Net) -> None:
    """However many of them have come when the proxy looks, nobody waits until it is through with all of them."""
    app = net.add("app")
    many = 20 * CRUMBS
    through = trio.Event()
    longest = 0.0

    async def count(stream: trio.SocketStream) -> None:
        heard = 0
        while data := await stream.receive_some():
            heard += data.count(b"x")
            if heard >= many:
                through.set()

    async def wait_for_turns() -> None:
        nonlocal longest
        while True:
            began = time.thread_time()  # what other programs do meanwhile does not count
            await trio.lowlevel.checkpoint()
            longest = max(longest, time.thread_time() - began)

    await net.serve(app, count)
    client = await net.connect(app)
    gc.disable()  # to look through all that earlier tests have left takes long, too
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_turns)
            await client.send_all(CHUNKED + b"1\r\nx\r\n" * many)
            await through.wait()
            nursery.cancel_scope.cancel()
    finally:
        gc.enable()
    print(f"the longest turn took {longest * 1e3:.1f} ms")
    assert longest < LONGEST_TURN


async def test_ten_thousand_crumbs_from_an_http2_server(net: Net) -> None:
    app = net.add("app")

    async def crumble(peer: Peer, request: Request) -> None:
        number = request.stream_id
        peer.h2.send_headers(number, [(b":status", b"200")])
        for at in range(CRUMBS):
            peer.h2.send_data(number, b"x", end_stream=at == CRUMBS - 1)
            if at % 100 == 0:
                await peer.flush()

    await net.serve(app, serving(crumble))
    client = Peer(await net.connect(app), client=True)
    for _ in range(2):
        client.request(b"/")
        await client.flush()
        _, body, _ = await client.answer()
        assert body == b"x" * CRUMBS
    assert {record.flag for record in net.records.all} == {Flag.NONE}


async def slow_head(client: trio.SocketStream) -> None:
    await client.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n")
    while True:
        await client.send_all(b"X: y\r\n")
        await trio.sleep(0.5)


async def slow_body(client: trio.SocketStream) -> None:
    await client.send_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
    while True:
        await client.send_all(b"x")
        await trio.sleep(0.5)


async def slow_reader(client: trio.SocketStream) -> None:
    await client.send_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    while await client.receive_some(10):  # noqa: ASYNC110 - slowness is the point
        await trio.sleep(0.5)


async def large_or_small(stream: trio.SocketStream) -> None:
    while data := await stream.receive_some():
        if data.startswith(b"GET /large "):
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000))
        elif data.startswith(b"GET "):
            await stream.send_all(OK)


@pytest.mark.parametrize("slow", [slow_head, slow_body, slow_reader])
async def test_two_hundred_slow_clients_slow_nobody(
    net: Net, slow: Callable[[trio.SocketStream], Awaitable[None]]
) -> None:
    app = net.add("app")
    await net.serve(app, large_or_small)
    client = await net.connect(app)

    async def p99() -> float:
        took = []
        for _ in range(SERVED):
            began = trio.current_time()
            assert (await ask(client, GET)).endswith(b"ok")
            took.append(trio.current_time() - began)
        return sorted(took)[SERVED * 99 // 100 - 1]

    async def dawdle(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                await slow(stream)
            except trio.BrokenResourceError:
                pass

    await p99()  # to warm up
    alone, before = await p99(), resident()
    place = net.captures.value.captured[net.caller.life].outbound[0].getsockname()[:2]
    async with trio.open_nursery() as nursery:
        for _ in range(SLOW):
            nursery.start_soon(dawdle, await trio.open_tcp_stream(*place))
        with trio.fail_after(10):
            while len(net.fleet.sidecars[net.caller.life].connections) <= SLOW:  # noqa: ASYNC110 - no event
                await trio.sleep(0.01)
        amid = min([await p99() for _ in range(3)])
        grown = resident() - before
        nursery.cancel_scope.cancel()
    print(f"p99 {alone * 1e3:.1f} ms alone, {amid * 1e3:.1f} ms beside {SLOW}; {grown / 1e6:.0f} MB more")
    assert amid < 2 * alone + 0.02
    assert grown < 50_000_000
