"""A connection of HTTP/2 on a wire whose other end has its own mind about reading."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from composemesh.proxy.codec import h2
from composemesh.proxy.multiplex import MOST_UNHEARD, Link
from composemesh.proxy.reactor import Reactor
from composemesh.proxy.stream import Stream
from composemesh.proxy.wire import Wire

ROOM = 1 << 20


@pytest.fixture
async def reactor(nursery: trio.Nursery) -> AsyncIterator[Reactor]:
    made = Reactor()
    nursery.start_soon(made.run)
    await trio.testing.wait_all_tasks_blocked()
    yield made
    nursery.cancel_scope.cancel()


class Server:
    """The other end of a link of ours, which reads when it is told to."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = trio.socket.from_stdlib_socket(sock)
        self.codec = h2.ServerConnection(h2.H2Limits(streams=10 * MOST_UNHEARD))

    async def say(self) -> None:
        data = self.codec.data_to_send()
        while data:
            data = data[await self.sock.send(data) :]

    async def hear(self, requests: int) -> None:
        """Read until so many have been opened."""
        while requests > 0:
            came = self.codec.receive(await self.sock.recv(ROOM))
            requests -= sum(isinstance(event, h2.RequestOpened) for event in came)
        await self.say()


async def test_a_server_that_reads_no_more_until_its_answers_are_taken_is_listened_to(reactor: Reactor) -> None:
    """Node stops reading while it writes. Were it not heard, however many ask it, both sides would wait for ever."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    link = Link(Wire(ours, reactor), h2.ClientConnection(), reactor)
    reactor.start(link.run)
    server = Server(theirs)
    with server.sock, trio.fail_after(5):
        await server.say()
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
            await server.say()
            assert isinstance(await stream.next(), h2.ResponseHeadCame)
        link.close()
