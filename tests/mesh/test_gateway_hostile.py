"""TLS clients that mean ill, or are broken, at a gateway: one clear record each, and nobody else notices."""

from __future__ import annotations

import os
import random
import socket
import ssl

import pytest
import structlog.testing
import trio
import trio.testing

from composemesh.model.flag import Flag
from composemesh.proxy import entrance
from mesh.gateways import app, ask, client, connect, free_port, gateway, https, open_up, route, secure
from mesh.net import Net, read_until


async def shop(net: Net) -> int:
    port = free_port()
    await app(net, "shop", b"welcome")
    await open_up(net, gateway(https(port)), routes=[route("*", "shop")])
    return port


async def served(port: int) -> None:
    async with await secure(port, "shop.localhost") as stream:
        assert (await ask(stream)).endswith(b"welcome")


def first_flight() -> bytes:
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        client().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="shop.localhost").do_handshake()
    return outgoing.read()


async def until_closed(stream: trio.SocketStream) -> None:
    with trio.fail_after(5):
        try:
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass


GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n",
    "noise": random.Random(7).randbytes(3000),
    "records of noise": b"\x16\x03\x01\x10\x00" + random.Random(8).randbytes(4096),
    "oversized record": b"\x16\x03\x01\xff\xff" + bytes(65535),
    "empty records": b"\x16\x03\x01\x00\x00" * 5000,
    "a server's hello": b"\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03\x03" + bytes(36),
    "SSLv2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(37),
    "half a hello": first_flight()[:200],
}


@pytest.mark.parametrize("said", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_is_one_record_and_no_traceback(net: Net, said: bytes) -> None:
    port = await shop(net)
    with structlog.testing.capture_logs() as logs:
        async with await connect(port) as stream:
            try:
                await stream.send_all(said)
                await stream.send_eof()
            except trio.BrokenResourceError:
                pass  # it was refused before it had said all
            await until_closed(stream)
        record = await net.records.next()
    assert record.flag is Flag.DOWNSTREAM_PROTOCOL_ERROR
    assert (record.source.service, record.response_code) == ("web", 0)
    assert logs == []
    await served(port)
    assert len(net.records.all) == 2


async def test_mutated_first_flights_are_served_or_refused(net: Net) -> None:
    """Bytes flipped, taken out and put in: never a hang, never a traceback, never more than one record."""
    port, rng = await shop(net), random.Random(20261121)
    hello = first_flight()
    with structlog.testing.capture_logs() as logs:
        for number in range(1, 301):
            said = bytearray(hello)
            for _ in range(rng.choice([1, 1, 2, 8])):
                place = rng.randrange(len(said))
                match rng.randrange(3):
                    case 0:
                        said[place] = rng.randrange(256)
                    case 1:
                        del said[place]
                    case 2:
                        said.insert(place, rng.randrange(256))
            async with await connect(port) as stream:
                await stream.send_all(said)
                await stream.send_eof()
                await until_closed(stream)
            await net.records.next(number)
    assert logs == []
    assert len(net.records.all) == 300
    await served(port)


async def test_two_hundred_that_stall_hold_up_nobody_and_end_in_time(
    net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, hello = await shop(net), first_flight()
    descriptors = len(os.listdir("/proc/self/fd"))
    stalled = []
    for number in range(200):
        stream = await connect(port)
        await stream.send_all(hello[: 1 + number % (len(hello) - 1)] if number % 2 else b"")
        stalled.append(stream)
    await trio.testing.wait_all_tasks_blocked(0.01)
    at_the_door = net.fleet.gateways.entrances["127.0.0.1", port].connections
    assert len(at_the_door) == 200
    await served(port)

    monkeypatch.setattr(entrance, "HANDSHAKE_TIMEOUT", 0.05)
    late = await connect(port)
    await late.send_all(hello[:100])
    await until_closed(late)
    await late.aclose()
    for stream in stalled:
        await stream.aclose()
    with trio.fail_after(5):
        while at_the_door:  # noqa: ASYNC110 - no event says so
            await trio.sleep(0.005)
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 2


async def test_a_handshake_that_goes_no_further_ends_in_time(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hello is whole and answered; what the client should say next never comes."""
    monkeypatch.setattr(entrance, "HANDSHAKE_TIMEOUT", 0.1)
    port = await shop(net)
    async with await connect(port) as stream:
        await stream.send_all(first_flight())
        await until_closed(stream)
    assert (await net.records.next()).flag is Flag.DOWNSTREAM_PROTOCOL_ERROR


@pytest.mark.parametrize(
    "said",
    [b"\x17\x03\x03\xff\xff" + bytes(65535), b"\x17\x03\x03\x00\x40" + bytes(64), b"GET / HTTP/1.1\r\n\r\n"],
    ids=["oversized", "not of this session", "in clear"],
)
async def test_a_session_that_is_broken_into_ends(net: Net, said: bytes) -> None:
    port = await shop(net)
    stream = await secure(port, "shop.localhost")
    assert (await ask(stream)).endswith(b"welcome")
    await stream.transport_stream.send_all(said)
    await until_closed(stream.transport_stream)
    await trio.aclose_forcefully(stream)
    await served(port)


async def test_a_request_that_is_cut_never_looks_whole(net: Net) -> None:
    """Without a close_notify anybody on the way may have ended the connection: the service must not believe it."""
    port = free_port()
    heard: list[bytes] = []
    ended = trio.Event()
    store = net.add("store")

    async def listen(stream: trio.SocketStream) -> None:
        try:
            heard.append(await read_until(stream, b"half"))
            while more := await stream.receive_some():
                heard.append(more)
            heard.append(b"END")
        except trio.BrokenResourceError:
            heard.append(b"RESET")
        finally:
            ended.set()

    await net.serve(store, listen)
    await open_up(net, gateway(https(port)), routes=[route("*", "store")])
    stream = await secure(port, "shop.localhost")
    await stream.send_all(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
    with trio.fail_after(5):
        while not heard:  # noqa: ASYNC110
            await trio.sleep(0.005)
    stream.transport_stream.socket.shutdown(socket.SHUT_WR)
    with trio.fail_after(5):
        await ended.wait()
    assert b"0\r\n\r\n" not in b"".join(heard), "a last chunk that the client never sent"
    assert (await net.records.next()).flag is Flag.DOWNSTREAM_CONNECTION_TERMINATION
    await trio.aclose_forcefully(stream)


async def test_a_client_that_reads_nothing_is_held_to_its_pace(net: Net) -> None:
    """Ten megabytes for somebody who takes none: they stay with the service, not in our memory."""
    port, went = free_port(), 0
    fountain = net.add("fountain")

    async def pour(stream: trio.SocketStream) -> None:
        nonlocal went
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
        for _ in range(100):
            await stream.send_all(bytes(100_000))
            went += 100_000

    await net.serve(fountain, pour)
    await open_up(net, gateway(https(port)), routes=[route("*", "fountain")])
    stream = await secure(port, "shop.localhost")
    await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    with trio.fail_after(10):
        before = -1
        while went != before:  # silence is no event
            before = went
            await trio.sleep(0.2)
    assert went < 10_000_000
    await trio.aclose_forcefully(stream)
    assert (await net.records.next()).bytes_sent < 10_000_000
