"""What can go wrong between a caller and an application: each failure with its status, its flag and its record."""

from __future__ import annotations

import socket
import struct

import pytest
import trio

from composemesh.model.flag import Flag
from composemesh.model.snapshot import Protocol, ServiceSettings, Snapshot
from composemesh.model.workload import State
from mesh.net import GET, OK, PORT, Net, answering, ask, read_all, read_until

POST = b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 2\r\n\r\nhi"


async def test_no_endpoint_is_a_503_at_once_and_recovery_is_immediate(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, answering())
    client = await net.connect(app)
    await ask(client, GET)
    net.remove(app)

    asked = trio.current_time()
    answer = await ask(client, GET, b"(UH)")
    assert trio.current_time() - asked < 0.05
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"x-composemesh-flag: UH\r\n" in answer
    assert b"app has no running endpoint" in answer
    record = await net.records.next(2)
    assert (record.response_code, record.flag, record.attempts) == (503, Flag.NO_HEALTHY_UPSTREAM, 0)

    await net.serve(net.add("app"), answering())
    assert (await ask(client, GET)).startswith(b"HTTP/1.1 200 ")


async def test_an_address_that_docker_has_forgotten_still_means_its_service(net: Net) -> None:
    """A caller resolved the name before the restart, and connects after it."""
    old = net.add("app")
    await net.serve(old, answering())
    net.remove(old)
    await net.serve(net.add("app"), answering())
    client = await net.connect(old)
    assert (await ask(client, GET)).startswith(b"HTTP/1.1 200 ")


async def test_a_refused_connection_goes_to_another_replica_whatever_the_method(net: Net) -> None:
    dead, alive = net.add("app"), net.add("app")
    (await net.serve(dead, answering())).cancel()
    await net.serve(alive, answering())
    client = await net.connect(dead)
    for number in range(1, 7):
        assert (await ask(client, POST)).startswith(b"HTTP/1.1 200 ")
        record = await net.records.next(number)
        assert record.destination.workload == alive.name


async def test_nobody_listening_is_a_503_with_the_kernels_reason_within_50_ms(net: Net) -> None:
    app = net.add("app")
    (await net.serve(app, answering())).cancel()
    client = await net.connect(app)
    asked = trio.current_time()
    answer = await ask(client, GET, b"(UF)")
    assert b"Connection refused" in answer
    assert trio.current_time() - asked < 0.05


async def test_a_connection_closed_while_idle_is_nobodys_failure(net: Net) -> None:
    app = net.add("app")

    async def once(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(OK)
        await stream.aclose()

    await net.serve(app, once)
    client = await net.connect(app)
    for number in range(1, 11):
        request = GET if number % 2 else POST
        assert (await ask(client, request)).startswith(b"HTTP/1.1 200 ")
        assert (await net.records.next(number)).attempts == 1


@pytest.mark.parametrize(("request_bytes", "asked"), [(GET, 3), (POST, 1)])
async def test_only_what_changes_nothing_is_asked_again(net: Net, request_bytes: bytes, asked: int) -> None:
    app = net.add("app")
    net.snapshot.publish(
        Snapshot("test", services={"app": ServiceSettings("app", "v1", ports={PORT: Protocol.HTTP})})
    )
    heads = 0

    async def vanish(stream: trio.SocketStream) -> None:
        nonlocal heads
        await read_until(stream, b"\r\n\r\n")
        heads += 1
        await stream.aclose()

    await net.serve(app, vanish)
    client = await net.connect(app)
    answer = await ask(client, request_bytes, b"(UC)")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert heads == asked
    assert (await net.records.next()).attempts == asked


async def test_nonsense_from_an_application_is_a_502(net: Net) -> None:
    app = net.add("app")

    async def babble(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"Hello? Is anybody there?\r\n\r\n")

    await net.serve(app, babble)
    client = await net.connect(app)
    assert (await ask(client, GET, b"(UPE)")).startswith(b"HTTP/1.1 502 ")


CUT = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly this",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
}


@pytest.mark.parametrize("kind", CUT)
@pytest.mark.parametrize("by_reset", [False, True])
async def test_a_cut_body_is_seen_as_cut(net: Net, kind: str, by_reset: bool) -> None:
    app = net.add("app")

    async def cut(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(CUT[kind])
        await trio.sleep(0.01)
        if by_reset:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await stream.aclose()

    await net.serve(app, cut)
    for version in (b"1.0", b"1.1"):
        client = await net.connect(app)
        await client.send_all(b"GET / HTTP/" + version + b"\r\nHost: app\r\n\r\n")
        data = b""
        try:
            data = await read_all(client)
        except trio.BrokenResourceError:
            continue  # a reset: seen
        assert version == b"1.1", f"HTTP/1.0 has no other sign than a reset, and got {data!r}"
        assert not data.endswith(b"0\r\n\r\n")
        assert b"only this" in data or not data
    flags = {(await net.records.next(number)).flag for number in (1, 2)}
    assert flags == {Flag.UPSTREAM_CONNECTION_TERMINATION}


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70000 + b"\r\n\r\n",
    ],
)
async def test_a_malformed_head_is_refused_and_travels_nowhere(net: Net, head: bytes) -> None:
    seen: list[bytes] = []
    app = net.add("app")
    await net.serve(app, answering(OK, seen))
    client = await net.connect(app)
    await client.send_all(head)
    answer = await read_all(client)
    assert answer.startswith(b"HTTP/1.1 4")
    assert b"connection: close\r\n" in answer
    assert seen == []
    record = await net.records.next()
    assert record.flag is Flag.DOWNSTREAM_PROTOCOL_ERROR


async def test_a_malformed_chunk_ends_both_sides(net: Net) -> None:
    app = net.add("app")
    ended = trio.Event()

    async def read(stream: trio.SocketStream) -> None:
        while await stream.receive_some():
            pass
        ended.set()

    await net.serve(app, read)
    client = await net.connect(app)
    await client.send_all(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await trio.sleep(0.01)
    await client.send_all(b"-1\r\n")
    assert (await read_all(client)).startswith(b"HTTP/1.1 400 ")
    with trio.fail_after(1):
        await ended.wait()


async def test_a_client_that_leaves_takes_its_request_with_it(net: Net) -> None:
    app = net.add("app")
    left = trio.Event()

    async def never(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        while await stream.receive_some():
            pass
        left.set()

    await net.serve(app, never)
    client = await net.connect(app)
    await client.send_all(GET)
    await trio.sleep(0.05)
    await client.aclose()
    with trio.fail_after(1):
        await left.wait()
    record = await net.records.next()
    assert (record.flag, record.response_code) == (Flag.DOWNSTREAM_CONNECTION_TERMINATION, 0)


async def test_a_stopping_replica_ends_what_it_has_and_gets_nothing_new(net: Net) -> None:
    stopping, other = net.add("app"), net.add("app")
    go_on = trio.Event()

    async def slow(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsl")
        await go_on.wait()
        await stream.send_all(b"ow")

    await net.serve(stopping, slow)
    client = await net.connect(stopping)
    await client.send_all(GET)
    await read_until(client, b"sl")
    await net.serve(other, answering())
    net.change(stopping, state=State.STOPPING)
    second = await net.connect(stopping)
    for _ in range(4):
        assert b"\r\n\r\nok" in await ask(second, GET)
    go_on.set()
    assert await read_until(client, b"ow") == b"ow"


async def test_paused_replicas_are_passed_over_and_nobody_waits_for_them(net: Net) -> None:
    paused, other = net.add("app"), net.add("app")
    await net.serve(paused, answering())
    await net.serve(other, answering())
    net.change(paused, state=State.PAUSED)
    client = await net.connect(paused)
    for number in range(1, 5):
        await ask(client, GET)
        assert (await net.records.next(number)).destination.workload == other.name


async def test_a_replica_gets_nothing_before_it_listens(net: Net) -> None:
    first = net.add("app")
    await net.serve(first, answering())
    client = await net.connect(first)
    await ask(client, GET)
    late = net.add("app")
    for number in range(2, 6):
        await ask(client, GET)
        record = await net.records.next(number)
        assert (record.destination.workload, record.attempts) == (first.name, 1)
    await net.serve(late, answering())
    said = set()
    for number in range(6, 10):
        await ask(client, GET)
        said.add((await net.records.next(number)).destination.workload)
    assert said == {first.name, late.name}


async def test_what_follows_a_response_unasked_is_never_taken_for_the_next(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, answering(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"))
    client = await net.connect(app)
    for _ in range(3):
        answer = await ask(client, GET)
        assert b"poison" not in answer


async def test_draining_ends_idle_connections_and_lets_exchanges_finish(net: Net) -> None:
    app = net.add("app")
    go_on = trio.Event()

    async def slow(stream: trio.SocketStream) -> None:
        while await stream.receive_some():
            await go_on.wait()
            await stream.send_all(OK)

    await net.serve(app, slow)
    idle, busy = await net.connect(app), await net.connect(app)
    await busy.send_all(GET)
    await trio.sleep(0.02)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(net.fleet.drain)
        assert await read_all(idle) == b""
        go_on.set()
        answer = await read_all(busy)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in answer
