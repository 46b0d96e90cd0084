"""Opaque connections: found out without a timer, relayed to the last byte, ended as the other side ended them."""

from __future__ import annotations

import random
import socket
import struct

import pytest
import trio

from composemesh.model.flag import Flag
from composemesh.model.snapshot import Protocol, ServiceSettings, Snapshot
from mesh.net import GET, OK, PORT, Net, answering, ask, read_all, read_until


async def test_a_server_that_speaks_first_is_heard_at_once(net: Net) -> None:
    app = net.add("mail")

    async def smtp(stream: trio.SocketStream) -> None:
        await stream.send_all(b"220 ready\r\n")
        assert await read_until(stream, b"\r\n") == b"EHLO me\r\n"
        await stream.send_all(b"250 hello\r\n")

    await net.serve(app, smtp)
    for _ in range(2):  # the second time the port is known
        client = await net.connect(app)
        assert await read_until(client, b"\r\n") == b"220 ready\r\n"
        await client.send_all(b"EHLO me\r\n")
        assert await read_all(client) == b"250 hello\r\n"
        await client.aclose()
    assert net.fleet.planner.spoken["mail"].protocol(PORT) is Protocol.TCP
    record = await net.records.next(2)
    assert (record.protocol, record.flag, record.bytes_received, record.bytes_sent) == ("tcp", Flag.NONE, 9, 22)


async def test_bytes_that_are_not_http_pass_both_ways(net: Net) -> None:
    app = net.add("cache")

    async def echo(stream: trio.SocketStream) -> None:
        while more := await stream.receive_some():
            await stream.send_all(more)

    await net.serve(app, echo)
    client = await net.connect(app)
    await client.send_all(b"*1\r\n$4\r\nPING\r\n")
    assert await read_until(client, b"PING\r\n") == b"*1\r\n$4\r\nPING\r\n"
    # In the middle of a connection the counters are up to date: a long one must not be invisible until its end.
    series = net.hub.tcp(net.peer(net.caller), net.peer(app))
    with trio.fail_after(1):
        while series.received < 14:  # noqa: ASYNC110 - counters are plain numbers
            await trio.sleep(0.01)
    assert (series.opened, series.closed) == (1, 0)


async def test_half_close_loses_no_byte(net: Net) -> None:
    app = net.add("sum")

    async def summarize(stream: trio.SocketStream) -> None:
        count = 0
        while more := await stream.receive_some():
            count += len(more)
        await stream.send_all(b"%d bytes" % count)
        await stream.send_eof()

    await net.serve(app, summarize)
    for size in (1, 1_000_000):
        client = await net.connect(app)
        await client.send_all(b"\x00" * size)
        await client.send_eof()
        assert await read_all(client) == b"%d bytes" % size


async def test_bulk_both_ways_arrives_byte_for_byte(net: Net) -> None:
    """Enough for the kernel to be asked to move it, in pieces that end anywhere, and slowly read at times."""
    app = net.add("bulk")
    data = random.Random(1).randbytes(24_000_001)

    async def echo(stream: trio.SocketStream) -> None:
        pieces, received = trio.open_memory_channel[bytes](1000)

        async def answer() -> None:
            async for piece in received:
                await stream.send_all(piece)
            await stream.send_eof()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            with pieces:
                while more := await stream.receive_some(1 << 20):
                    await pieces.send(more)

    await net.serve(app, echo)
    client = await net.connect(app)
    back = bytearray()

    async def write() -> None:
        await client.send_all(b"\x00" + data[1:])
        await client.send_eof()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            while more := await client.receive_some(1 << 20):
                back += more
                if len(back) % 7 == 0:
                    await trio.sleep(0.002)
    assert back == b"\x00" + data[1:]
    series = net.hub.tcp(net.peer(net.caller), net.peer(app))
    await client.aclose()
    await net.records.next()
    assert (series.received, series.sent, series.closed) == (len(data), len(data), 1)


async def test_a_reset_is_passed_on_as_one(net: Net) -> None:
    app = net.add("db")

    async def reset(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await stream.aclose()

    await net.serve(app, reset)
    client = await net.connect(app)
    await client.send_all(b"\x01\x02\x03\x04")
    with pytest.raises(trio.BrokenResourceError):
        await read_all(client)


async def test_nobody_there_is_a_reset_for_opaque_clients(net: Net) -> None:
    app = net.add("db")
    client = await net.connect(app)
    await client.send_all(b"\x01\x02\x03\x04")
    with pytest.raises(trio.BrokenResourceError):
        await read_all(client)


async def test_a_port_may_speak_http_and_something_else(net: Net) -> None:
    """A client that speaks TLS to a port that others speak HTTP to gets through, as it would without a mesh."""
    app = net.add("both")
    hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"

    async def either(stream: trio.SocketStream) -> None:
        first = await stream.receive_some()
        await stream.send_all(OK if first.startswith(b"GET") else b"TLS: " + first)

    await net.serve(app, either)
    assert (await ask(await net.connect(app), GET)).startswith(b"HTTP/1.1 200 ")
    client = await net.connect(app)
    await client.send_all(hello)
    assert await read_until(client, hello) == b"TLS: " + hello


async def test_a_declared_protocol_is_believed(net: Net) -> None:
    app = net.add("odd")
    net.snapshot.publish(Snapshot("test", services={"odd": ServiceSettings("odd", "v1", ports={PORT: Protocol.TCP})}))
    await net.serve(app, answering(b"whatever, not HTTP"))
    client = await net.connect(app)
    await client.send_all(GET)
    assert await read_until(client, b"HTTP") == b"whatever, not HTTP"


async def test_http_after_silence_is_still_http(net: Net) -> None:
    """The client takes its time; no timer decides meanwhile."""
    app = net.add("app")
    await net.serve(app, answering())
    client = await net.connect(app)
    await trio.sleep(0.3)
    await client.send_all(b"GE")
    await trio.sleep(0.05)
    assert (await ask(client, b"T / HTTP/1.1\r\nHost: app\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
