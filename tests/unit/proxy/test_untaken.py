"""A request over HTTP/1.1 of which the kernel takes only a part: the rest goes later, or the connection goes."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from composemesh.model.peer import UNKNOWN
from composemesh.model.record import Record
from composemesh.proxy.cluster import Cluster, Spoken
from composemesh.proxy.codec.h1 import parse_request
from composemesh.proxy.codec.parts import LIMITS
from composemesh.proxy.exchange import Exchange
from composemesh.proxy.pool import Pool
from composemesh.proxy.reactor import Reactor
from composemesh.proxy.refuse import Broken
from composemesh.proxy.upstream.h1 import Http1Upstream
from composemesh.proxy.wire import Wire

BODY = b"x" * 1_000_000
HEAD = b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: %d\r\n\r\n" % len(BODY)


@pytest.fixture
async def reactor(nursery: trio.Nursery) -> AsyncIterator[Reactor]:
    made = Reactor()
    nursery.start_soon(made.run)
    await trio.testing.wait_all_tasks_blocked()
    yield made
    nursery.cancel_scope.cancel()


def request() -> Exchange:
    head = parse_request(HEAD, LIMITS)
    return Exchange(head, Record(UNKNOWN, UNKNOWN, "http"), Cluster("app", (), Spoken()), BODY, True, 80)


def dialled(reactor: Reactor, pool: Pool) -> tuple[Http1Upstream, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return Http1Upstream(Wire(ours, reactor), pool), theirs


async def test_the_rest_follows_as_there_is_room(reactor: Reactor) -> None:
    up, theirs = dialled(reactor, Pool())
    x = request()
    with trio.socket.from_stdlib_socket(theirs) as server:
        await up.ask(x, x.head.fields)
        assert 0 < len(up.untaken) < len(BODY)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(up.send_untaken, x)
            heard = b""
            while len(heard) < len(HEAD) + len(BODY):
                heard += await server.recv(65536)
        assert heard.startswith(b"POST / HTTP/1.1\r\n")
        assert heard.endswith(BODY)
        assert not up.untaken
        up.close()


async def test_answered_before_it_was_taken_it_leaves_no_connection_to_use_again(reactor: Reactor) -> None:
    """What is left of the body would be the beginning of the next request."""
    pool = Pool()
    up, theirs = dialled(reactor, pool)
    x = request()
    with theirs:
        await up.ask(x, x.head.fields)
        assert up.whole_answer(x, b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n") is not None
        up.release(x)
        assert pool.checkout(repeatable=True) is None


async def test_what_never_began_to_go_may_go_elsewhere(reactor: Reactor) -> None:
    up, theirs = dialled(reactor, Pool())
    theirs.close()
    x = request()
    with pytest.raises(Broken) as broken:
        await up.ask(x, x.head.fields)
    assert broken.value.unsent
    up.close()
