"""Idle connections: lent when quiet, trusted while fresh, gone with their endpoint."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from composemesh.model.policy import ConnectionLimits
from composemesh.proxy.codec import h2
from composemesh.proxy.limits import Limits
from composemesh.proxy.multiplex import Link
from composemesh.proxy.pool import FRESH, LONGEST_IDLE, MOST_IDLE, Pool, Pools
from composemesh.proxy.reactor import Reactor
from composemesh.proxy.upstream.h1 import Http1Upstream
from composemesh.proxy.wire import Wire

Dialled = Callable[[], Http1Upstream]


@pytest.fixture
def dialled() -> Iterator[Dialled]:
    """Makes connections to servers that say nothing. Nobody runs the reactor: tests wake whom they want woken."""
    servers: list[socket.socket] = []
    reactor = Reactor()

    def dial() -> Http1Upstream:
        ours, server = socket.socketpair()
        ours.setblocking(False)
        servers.append(server)
        return Http1Upstream(Wire(ours, reactor), Pool())

    yield dial
    for server in servers:
        server.close()


@pytest.fixture
def pool() -> Pool:
    return Pool()


def hear_of_an_end(up: Http1Upstream) -> None:
    up.wire.wake(select.EPOLLIN | select.EPOLLRDHUP)


def is_closed(up: Http1Upstream) -> bool:
    return up.wire.sock.fileno() < 0


def test_the_newest_is_lent_first_and_only_quiet_ones(pool: Pool, dialled: Dialled) -> None:
    old, noisy, new = dialled(), dialled(), dialled()
    for idle in (old, noisy, new):
        pool.checkin(idle)
    hear_of_an_end(noisy)
    assert pool.checkout(repeatable=True) is new
    assert pool.checkout(repeatable=True) is old
    assert is_closed(noisy)
    assert pool.checkout(repeatable=True) is None
    new.close()
    old.close()


def test_what_must_not_be_sent_twice_goes_on_no_stale_connection(pool: Pool, dialled: Dialled) -> None:
    idle = dialled()
    pool.checkin(idle)
    idle.idle_since = time.monotonic() - FRESH - 0.1
    assert pool.checkout(repeatable=False) is None
    assert pool.checkout(repeatable=True) is idle
    idle.close()


def test_too_many_too_old_and_too_late_are_closed(pool: Pool, dialled: Dialled) -> None:
    idles = [dialled() for _ in range(MOST_IDLE + 1)]
    for idle in idles:
        pool.checkin(idle)
    assert [is_closed(idle) for idle in idles] == [False] * MOST_IDLE + [True]
    hear_of_an_end(idles[0])
    assert pool.prune(time.monotonic())
    assert [is_closed(idle) for idle in idles] == [True] + [False] * (MOST_IDLE - 1) + [True]
    assert not pool.prune(time.monotonic() + LONGEST_IDLE + 1)
    assert all(is_closed(idle) for idle in idles)
    pool.close()
    late = dialled()
    pool.checkin(late)
    assert is_closed(late)


def test_a_connection_that_named_its_client_is_not_kept_for_others(dialled: Dialled) -> None:
    """Nobody else can use it: there would be one for each client that ever came, for an hour."""
    settings = ConnectionLimits(idle_timeout=3600.0)
    for introduction, kept in ((b"", True), (b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n", False)):
        pool, up = Pool(("10.0.0.2", 80), Limits(settings), introduction), dialled()
        pool.checkin(up)
        assert pool.prune(time.monotonic() + FRESH / 2)
        assert pool.prune(time.monotonic() + FRESH + 1) is kept
        assert is_closed(up) is not kept
        up.close()


def test_a_server_that_reads_no_body_is_asked_only_where_there_may_be_no_further_connection() -> None:
    ours, theirs = socket.socketpair()
    wire = Wire(ours, reactor := Reactor())
    link = Link(wire, h2.ClientConnection(), reactor)
    upload = link.codec.send_head(b"POST", b"app", b"/", [])
    limits = Limits(ConnectionLimits(max_connections=2))
    pool = Pool(limits=limits)
    assert limits.begin_connection()
    pool.add(link)
    assert pool.link() is link
    link.codec.send_data(upload, bytes(1 << 20))
    assert link.codec.stopped
    assert pool.link() is None
    assert limits.begin_connection()
    assert pool.link() is link
    wire.close()
    theirs.close()


def test_no_pool_outlives_its_namespace(dialled: Dialled) -> None:
    pools = Pools()
    address = ("10.0.0.1", 80)
    assert pools[address] is pools[address]
    pools.close()
    late = dialled()
    pools[address].checkin(late)
    assert is_closed(late)
    assert pools["10.0.0.2", 80].closed


def test_a_pool_that_was_forgotten_while_in_use_closes_what_comes_back(dialled: Dialled) -> None:
    pools = Pools()
    pool = pools["10.0.0.1", 80]
    pools.prune(time.monotonic())
    assert not pools
    idle = dialled()
    pool.checkin(idle)
    assert is_closed(idle)
