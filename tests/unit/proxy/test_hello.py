"""The name in a client's first flight, however it arrives, and what is no first flight."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from composemesh.proxy import hello
from composemesh.proxy.hello import server_name
from composemesh.proxy.tls import HandshakeFailed
from composemesh.proxy.wire import Reactor, Wire

Pair = tuple[Wire, socket.socket]


@pytest.fixture
async def pair(nursery: trio.Nursery) -> AsyncIterator[Pair]:
    reactor = Reactor()
    nursery.start_soon(reactor.run)
    await trio.testing.wait_all_tasks_blocked()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield Wire(ours, reactor), theirs
    nursery.cancel_scope.cancel()


def flight(name: str | None, *, old: bool = False) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if old:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("old", [False, True], ids=["1.3", "1.2"])
@pytest.mark.parametrize(
    ("name", "heard"),
    [("shop.test", "shop.test"), ("Shop.TEST", "shop.test"), (None, ""), ("127.0.0.1", "")],
)
async def test_the_name_is_read_and_nothing_is_lost(pair: Pair, name: str | None, heard: str, old: bool) -> None:
    wire, theirs = pair
    said = flight(name, old=old)
    theirs.send(said)
    assert await server_name(wire, b"") == (heard, said)


async def test_it_may_come_byte_by_byte(pair: Pair) -> None:
    wire, theirs = pair
    said = flight("shop.test")

    async def drip() -> None:
        for place in range(7, len(said)):
            theirs.send(said[place : place + 1])
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drip)
        name, heard = await server_name(wire, said[:7])
    assert name == "shop.test"
    assert heard == said


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "http request"),
        (bytes(100), "."),
        (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", "unexpected message"),
        (b"\x16\x03\x01", "the connection ended"),
        (b"", "the connection ended"),
    ],
)
async def test_what_is_no_hello_is_refused(pair: Pair, said: bytes, reason: str) -> None:
    wire, theirs = pair
    theirs.send(said)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(HandshakeFailed, match=reason):
        await server_name(wire, b"")


async def test_a_hello_that_never_ends_is_not_collected_for_ever(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hello, "LONGEST_HELLO", 5000)
    wire, theirs = pair
    fragment = b"\x16\x03\x01\x04\x00" + b"\x01\x01\xff\x00" + bytes(1020)
    theirs.send(fragment + (b"\x16\x03\x01\x04\x00" + bytes(1024)) * 20)
    with pytest.raises(HandshakeFailed):
        await server_name(wire, b"")


async def test_a_client_that_stalls_is_not_waited_for(pair: Pair, autojump_clock: trio.testing.MockClock) -> None:
    wire, theirs = pair
    theirs.send(flight("shop.test")[:50])
    with pytest.raises(HandshakeFailed, match="not done in 10 s"):
        await server_name(wire, b"")
