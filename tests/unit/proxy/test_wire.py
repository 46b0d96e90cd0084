"""Sockets on an epoll of our own: edges remembered, closes noticed, numbers used again."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import AsyncIterator

import pytest
import structlog.testing
import trio
import trio.testing

from composemesh.proxy.reactor import Reactor
from composemesh.proxy.wire import CHUNK, IN_A_ROW, Wire


@pytest.fixture
async def reactor(nursery: trio.Nursery) -> AsyncIterator[Reactor]:
    made = Reactor()
    nursery.start_soon(made.run)
    await trio.testing.wait_all_tasks_blocked()
    yield made
    nursery.cancel_scope.cancel()


@pytest.fixture
def pair(reactor: Reactor) -> tuple[Wire, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    return Wire(ours, reactor), theirs


Pair = tuple[Wire, socket.socket]


async def test_what_has_come_is_read_and_the_end_is_remembered(pair: Pair) -> None:
    wire, theirs = pair
    theirs.send(b"hello")
    assert await wire.receive() == b"hello"
    assert wire.is_quiet()
    theirs.close()
    assert await wire.receive() == b""
    assert await wire.receive() == b""
    assert wire.ended
    assert not wire.is_quiet()
    wire.close()


async def test_surplus_makes_an_idle_connection_unfit(pair: Pair) -> None:
    wire, theirs = pair
    theirs.send(b"nobody asked")
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert not wire.is_quiet()
    assert await wire.receive() == b"nobody asked"
    wire.close()
    theirs.close()


async def test_closing_wakes_whoever_waits_and_once_is_enough(pair: Pair, reactor: Reactor) -> None:
    wire, theirs = pair
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    failed: list[int | None] = []

    async def read() -> None:
        with pytest.raises(OSError) as problem:
            await wire.receive()
        failed.append(problem.value.errno)

    async def write() -> None:
        with pytest.raises(OSError) as problem:
            await wire.send(bytes(10_000_000))
        failed.append(problem.value.errno)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked(0.01)
        wire.close()
        wire.close()
        wire.reset()
    assert failed == [errno.EBADF] * 2
    with pytest.raises(OSError, match="Bad file"):
        await wire.receive()
    with pytest.raises(OSError, match="Bad file"):
        await wire.until_writable()
    assert repr(reactor) == "<Reactor 0 wires>"
    theirs.close()


async def test_one_reader_and_one_writer(pair: Pair) -> None:
    wire, theirs = pair
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.receive)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await wire.receive()
        nursery.cancel_scope.cancel()
    theirs.send(b"x")  # whoever was cancelled has left its place
    assert await wire.receive() == b"x"
    wire.close()
    theirs.close()


async def test_a_cancelled_read_loses_nothing(pair: Pair) -> None:
    """Also not the read after which others get their turn."""
    wire, theirs = pair
    for sock in (wire.sock, theirs):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    sent = theirs.send(os.urandom(200_000))
    received = 0
    await trio.testing.wait_all_tasks_blocked(0.01)
    while received < sent:
        with trio.CancelScope() as scope:
            scope.cancel()
            received += len(await wire.receive(1000))
        if scope.cancelled_caught:
            received += len(await wire.receive(1000))
    assert received == sent
    wire.close()
    theirs.close()


async def test_a_reader_that_is_always_served_lets_others_run(pair: Pair) -> None:
    wire, theirs = pair
    theirs.setblocking(False)
    ran = 0

    async def other() -> None:
        nonlocal ran
        while True:
            ran += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for _ in range(10 * IN_A_ROW):
            theirs.send(bytes(1000))
            await wire.receive(1000)
        nursery.cancel_scope.cancel()
    assert ran >= 9
    wire.close()
    theirs.close()


async def test_a_waiting_write_has_copied_what_is_left(pair: Pair) -> None:
    wire, theirs = pair
    data = bytearray(b"a" * 3_000_000)
    received = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.send, memoryview(data))
        await trio.testing.wait_all_tasks_blocked(0.01)
        data[:] = b"b" * len(data)
        while len(received) < len(data):
            try:
                received += theirs.recv(CHUNK)
            except BlockingIOError:
                await trio.sleep(0.001)
    assert received == b"a" * len(data)
    wire.close()
    theirs.close()


async def test_the_ghost_of_a_closed_socket_cannot_haunt_the_next_owner_of_its_number(reactor: Reactor) -> None:
    """A process that is just being started holds a copy of every descriptor until its exec."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    number = ours.fileno()
    wire = Wire(ours, reactor)
    held = os.dup(number)
    wire.close()
    next_ours, next_theirs = socket.socketpair()
    moved = next_ours.detach()
    assert number in (moved, next_theirs.fileno())  # the lowest free number is given again
    if moved != number:
        next_theirs, moved = socket.socket(fileno=moved), next_theirs.detach()
    owner = socket.socket(fileno=moved)
    owner.setblocking(False)
    following = Wire(owner, reactor)
    theirs.close()  # the ghost hears of it
    await trio.testing.wait_all_tasks_blocked(0.02)
    assert not following.ended
    assert following.is_quiet()
    following.close()
    next_theirs.close()
    os.close(held)


async def test_a_reset_is_seen_as_one() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    async with trio.open_nursery() as nursery:
        reactor = Reactor()
        nursery.start_soon(reactor.run)
        await trio.testing.wait_all_tasks_blocked()
        accepted.setblocking(False)
        Wire(accepted, reactor).reset()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        nursery.cancel_scope.cancel()
    client.close()
    listener.close()


async def test_what_runs_beside_the_wires_may_fail_alone(reactor: Reactor, pair: Pair) -> None:
    async def buggy() -> None:
        raise ValueError("found by a peer")

    with structlog.testing.capture_logs() as logs:
        reactor.start(buggy)
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert [entry["event"] for entry in logs] == ["connection failed"]
    wire, theirs = pair
    theirs.send(b"still here")
    assert await wire.receive() == b"still here"
    wire.close()
    theirs.close()


async def test_closing_after_the_reactor_is_harmless() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    async with trio.open_nursery() as nursery:
        reactor = Reactor()
        nursery.start_soon(reactor.run)
        await trio.testing.wait_all_tasks_blocked()
        wire = Wire(ours, reactor)
        nursery.cancel_scope.cancel()
    wire.close()
    theirs.close()
