"""A connection of HTTP/2 on a wire whose other end has its own mind about reading."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from functools import partial

import pytest
import trio
import trio.testing

from composemesh.proxy.codec import h2
from composemesh.proxy.multiplex import MOST_UNHEARD, Link
from composemesh.proxy.reactor import Reactor
from composemesh.proxy.stream import Stream
from composemesh.proxy.wire import Wire
from mesh.net import running_reactor

ROOM = 1 << 20
ANSWER = 30_000
STREAMS = h2.H2Limits().streams


@pytest.fixture
async def reactor(nursery: trio.Nursery) -> AsyncIterator[Reactor]:
    async with running_reactor(nursery) as made:
        yield made


async def say(sock: trio.socket.SocketType, codec: h2.ServerConnection | h2.ClientConnection) -> None:
    data = codec.data_to_send()
    while data:
        data = data[await sock.send(data) :]


class Server:
    """The other end of a link of ours, which reads when it is told to."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = trio.socket.from_stdlib_socket(sock)
        self.codec = h2.ServerConnection(h2.H2Limits(streams=10 * MOST_UNHEARD))

    async def hear(self, requests: int) -> None:
        """Read until so many have been opened."""
        while requests > 0:
            came = self.codec.receive(await self.sock.recv(ROOM))
            requests -= sum(isinstance(event, h2.RequestOpened) for event in came)
        await say(self.sock, self.codec)


async def test_a_server_that_reads_no_more_until_its_answers_are_taken_is_listened_to(reactor: Reactor) -> None:
    """Node stops reading while it writes. Were it not heard, however many ask it, both sides would wait for ever."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    link = Link(Wire(ours, reactor), h2.ClientConnection(), reactor)
    reactor.start(link.run)
    server = Server(theirs)
    with server.sock, trio.fail_after(5):
        await say(server.sock, server.codec)
        await link.takes_upgrades()  # its SETTINGS have come
        streams = [Stream(link, link.codec.send_head(b"POST", b"app", b"/", [])) for _ in range(2 * MOST_UNHEARD)]
        link.flush_now()
        await server.hear(len(streams))
        for stream in streams:
            link.codec.send_data(stream.number, bytes(ROOM // 4))
        link.flush_now()
        assert link.congested
        for stream in streams[:3]:
            server.codec.send_head(stream.number, 200, [], True)
            await say(server.sock, server.codec)
            assert isinstance(await stream.next(), h2.ResponseHeadCame)
        link.close()


class Client:
    """The other end of a link of ours that answers each request at once, which reads when it is told to."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = trio.socket.from_stdlib_socket(sock)
        self.codec = h2.ClientConnection()
        self.under_way = 0

    async def ask(self, requests: int) -> None:
        for _ in range(requests):
            self.codec.send_head(b"GET", b"app", b"/", [], True)
        self.under_way += requests
        await say(self.sock, self.codec)

    async def hear(self, answers: int) -> None:
        """Read until so many are whole, and give the windows back later."""
        while answers > 0:
            came = self.codec.receive(await self.sock.recv(ANSWER))
            ended = sum(isinstance(event, h2.BodyCame) and event.end for event in came)
            answers -= ended
            self.under_way -= ended


async def test_a_client_that_keeps_to_its_streams_is_heard_though_it_reads_slowly(reactor: Reactor) -> None:
    """It knows of answers that are part of what is still being sent, and asks anew for each."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    link = Link(Wire(ours, reactor), h2.ServerConnection(), reactor)
    heard = 0
    more = trio.Event()

    def answer(request: h2.RequestOpened) -> None:
        nonlocal heard, more
        stream = Stream(link, request.stream)
        link.codec.send_head(stream.number, 200, [])
        link.codec.send_data(stream.number, bytes(ANSWER), True)
        stream.drop(h2.Code.NO_ERROR)
        heard += 1
        more.set()
        more = trio.Event()

    reactor.start(partial(link.run, answer))
    client = Client(theirs)
    with client.sock, trio.fail_after(5):
        await client.ask(STREAMS)
        asked = STREAMS
        for _ in range(8):
            while heard < asked:
                await more.wait()
            assert link.congested
            await client.hear(STREAMS // 8)
            again = STREAMS - client.under_way
            await client.ask(again)
            asked += again
        link.close()
