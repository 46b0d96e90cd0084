"""Clients that spoof, stall, flood, never read or never stop: what they get, and what others do not notice."""

from __future__ import annotations

import math
import os
import re
import socket
import time
from pathlib import Path

import pytest
import trio
import trio.testing

from composemesh.model.flag import Flag
from composemesh.model.listener import ListenerLimits
from composemesh.model.snapshot import MeshSettings, Protocol, ServiceSettings, Snapshot
from composemesh.proxy.codec.parts import LIMITS
from composemesh.proxy.downstream import h1
from mesh.net import GET, OK, PORT, Net, answering, ask, read_all, read_until


def fields(head: bytes) -> list[tuple[bytes, bytes]]:
    lines = head.split(b"\r\n")[1:]
    return [(name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines if line)]


def values(head: bytes, name: bytes) -> list[bytes]:
    return [value for each, value in fields(head) if each == name]


def declare(net: Net) -> None:
    net.snapshot.publish(
        Snapshot("test", services={"app": ServiceSettings("app", "v1", ports={PORT: Protocol.HTTP})})
    )


async def arriving(net: Net, lines: bytes, *, answer: bytes = OK) -> bytes:
    """The head that the application gets of a request with these field lines."""
    seen: list[bytes] = []
    app = net.add("app")
    await net.serve(app, answering(answer, seen))
    client = await net.connect(app)
    await ask(client, b"GET / HTTP/1.1\r\nHost: app\r\n" + lines + b"\r\n")
    return seen[0]


@pytest.mark.parametrize(
    "name",
    [
        b"Host",
        b"Authorization",
        b"Cookie",
        b"X-Request-Id",
        b"X-Forwarded-For",
        b"X-Forwarded-Proto",
        b"X-Envoy-Peer",
    ],
)
async def test_connection_cannot_nominate_what_others_rely_on(net: Net, name: bytes) -> None:
    own = b"" if name == b"Host" else name + b": kept\r\n"
    head = await arriving(net, b"Connection: " + name + b", X-Mine\r\nX-Mine: gone\r\n" + own)
    assert any(b"app" in value or b"kept" in value for value in values(head, name.lower()))
    assert not values(head, b"x-mine")
    assert not values(head, b"connection")


async def test_hop_by_hop_fields_end_here(net: Net) -> None:
    lines = b"Keep-Alive: 5\r\nTE: gzip\r\nTrailer: x\r\nProxy-Connection: close\r\nConnection: close, , TE\r\n"
    head = await arriving(net, lines)
    assert {name for name, _ in fields(head)} == {b"host", b"x-forwarded-for", b"x-forwarded-proto", b"x-request-id"}


async def test_what_the_client_does_with_trailers_is_said_anew(net: Net) -> None:
    head = await arriving(net, b"TE: gzip, Trailers\r\nConnection: close, TE\r\n")
    assert (values(head, b"te"), values(head, b"connection")) == ([b"trailers"], [b"te"])


@pytest.mark.parametrize(
    "junk", [b"a b", b"x" * 129, b"<script>", b"\x1b[2J", b"\xff\xfe", b"", b"a, b", b'"quoted"', b"one;two"]
)
async def test_a_request_id_that_is_no_token_is_replaced(net: Net, junk: bytes) -> None:
    lines = b"X-Request-Id: " + junk + b"\r\n"
    if b"\x1b" in junk:
        app = net.add("app")
        await net.serve(app, answering())
        client = await net.connect(app)
        await client.send_all(b"GET / HTTP/1.1\r\nHost: app\r\n" + lines + b"\r\n")
        assert (await read_all(client)).startswith(b"HTTP/1.1 400 ")
        return
    (request_id,) = values(await arriving(net, lines), b"x-request-id")
    assert re.fullmatch(rb"[0-9a-f-]{36}", request_id)
    assert (await net.records.next()).request_id == request_id.decode()


async def test_two_request_ids_become_one(net: Net) -> None:
    head = await arriving(net, b"X-Request-Id: a\r\nx-request-id: b\r\n")
    assert len(values(head, b"x-request-id")) == 1


async def test_where_a_request_came_from_is_added_to_what_it_says(net: Net) -> None:
    head = await arriving(net, b"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n")
    assert values(head, b"x-forwarded-for") == [b"1.1.1.1, 2.2.2.2,127.0.0.1"]
    assert (await net.records.next()).x_forwarded_for == "127.0.0.1"


async def test_nobody_outside_speaks_for_a_proxy_of_the_mesh(net: Net) -> None:
    seen: list[bytes] = []
    app = net.add("app")
    await net.serve(app, answering(OK, seen))
    spoof = b"X-Envoy-Peer-Metadata: a\r\nx-envoy-retry-on: 5xx\r\nX-Forwarded-Client-Cert: By=a\r\nX-Real: b\r\n"
    for client in (await net.connect_from_outside(app), await net.connect(app)):
        await ask(client, b"GET / HTTP/1.1\r\nHost: app\r\n" + spoof + b"\r\n")
    from_outside, from_inside = ({name for name, _ in fields(head)} for head in seen)
    assert from_inside - from_outside == {b"x-envoy-peer-metadata", b"x-envoy-retry-on", b"x-forwarded-client-cert"}
    assert b"x-real" in from_outside


async def test_target_and_host_are_for_one_host_and_one_field_is_left(net: Net) -> None:
    seen: list[bytes] = []
    app = net.add("app")
    await net.serve(app, answering(OK, seen))
    client = await net.connect(app)
    await ask(client, b"GET http://b/x HTTP/1.1\r\nHost: B:80\r\n\r\n")
    assert values(seen[0], b"host") == [b"b"]
    for host in (b"Host: a", b"Host: b\r\nHost: b"):
        client = await net.connect(app)
        await client.send_all(b"GET http://b/x HTTP/1.1\r\n%b\r\n\r\n" % host)
        assert (await read_all(client)).startswith(b"HTTP/1.1 400 ")
    assert len(seen) == 1
    client = await net.connect(app)
    await client.send_all(b"GET http://b/x HTTP/1.0\r\nHost: a\r\n\r\n")
    assert b" 200 " in await read_all(client)
    assert values(seen[1], b"host") == [b"b"]


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/5.6", b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n"]
)
async def test_a_head_that_can_no_longer_become_good_is_not_waited_for(
    net: Net, head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h1, "HEAD_TIMEOUT", math.inf)
    declare(net)
    app = net.add("app")
    await net.serve(app, answering(OK))
    client = await net.connect(app)
    await client.send_all(head)
    assert (await read_all(client)).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 505 "))


async def test_a_get_at_a_database_does_not_make_it_a_web_server(net: Net) -> None:
    """Redis takes `GET x`: were its port known for HTTP from then on, one client could shut out all the others."""
    app = net.add("app")

    async def redis(stream: trio.SocketStream) -> None:
        while data := await stream.receive_some():
            await stream.send_all(b"+PONG\r\n" if b"PING" in data else b"-ERR unknown command\r\n")

    await net.serve(app, redis)
    attacker = await net.connect(app)
    await attacker.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await read_until(attacker, b"(UPE)")).startswith(b"HTTP/1.1 502 ")
    client = await net.connect(app)
    await client.send_all(b"*1\r\n$4\r\nPING\r\n")
    assert await read_until(client, b"\r\n") == b"+PONG\r\n"


async def test_a_request_to_a_port_nobody_has_does_not_make_it_one(net: Net) -> None:
    """A new replica is ready once it listens on the ports that its service is known for."""
    first = net.add("app")
    await net.serve(first, answering())
    client = await net.connect(first, 9999)
    await client.send_all(GET)
    assert (await read_until(client, b"(UF)")).startswith(b"HTTP/1.1 503 ")
    await net.serve(net.add("app"), answering())  # and waits until it is ready


@pytest.mark.parametrize("farewell", [b"", b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"])
async def test_a_server_that_tires_of_a_silent_client_still_speaks_http(net: Net, farewell: bytes) -> None:
    app = net.add("app")

    async def impatient(stream: trio.SocketStream) -> None:
        with trio.move_on_after(0.05):
            await answering()(stream)
            return
        await stream.send_all(farewell)
        await stream.aclose()

    await net.serve(app, impatient)
    silent = await net.connect(app)
    assert await read_all(silent) == farewell
    assert (await ask(await net.connect(app), GET)).startswith(b"HTTP/1.1 200 ")
    assert (await net.records.next()).protocol == "http"


async def test_line_ends_without_end_are_refused(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, answering())
    client = await net.connect(app)
    with trio.fail_after(5):
        try:
            while True:
                await client.send_all(b"\r\n" * 1000)
        except trio.BrokenResourceError:
            pass
    assert (await net.records.next()).response_code == 400


async def test_what_cannot_be_reached_is_recorded_whatever_it_was_to_speak(net: Net) -> None:
    app = net.add("app")
    (await net.serve(app, answering())).cancel()
    client = await net.connect(app)
    await client.send_all(b"\x16\x03\x01\x02\x00\x01")
    with pytest.raises(trio.BrokenResourceError):
        await read_all(client)
    record = await net.records.next()
    assert (record.protocol, record.flag) == ("tcp", Flag.UPSTREAM_CONNECTION_FAILURE)


async def test_a_thousand_requests_that_nobody_can_serve_let_others_run(net: Net) -> None:
    declare(net)
    gone, app = net.add("gone"), net.add("app")
    await net.serve(gone, answering())
    await net.serve(app, answering())
    flood = await net.connect(gone)
    await ask(flood, GET)
    net.remove(gone)
    other = await net.connect(app)
    await ask(other, GET)
    await flood.send_all(GET * 2000)
    await trio.lowlevel.checkpoint()
    assert (await ask(other, GET)).endswith(b"ok")
    assert len(net.records.all) < 1500  # it was served among them, and not after the last
    assert flood.socket.fileno() >= 0


async def test_a_slow_head_is_answered_with_408_and_cut(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    assert h1.HEAD_TIMEOUT == 10
    monkeypatch.setattr(h1, "HEAD_TIMEOUT", 0.3)
    declare(net)
    app = net.add("app")
    await net.serve(app, answering())
    client = await net.connect(app)
    began = trio.current_time()

    async def drip() -> None:
        for byte in b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1000:
            await client.send_all(bytes([byte]))
            await trio.sleep(0.02)

    async with trio.open_nursery() as dripping:
        dripping.start_soon(drip)
        assert (await read_until(client, b"\r\n\r\n")).startswith(b"HTTP/1.1 408 ")
        assert 0.25 < trio.current_time() - began < 2
        dripping.cancel_scope.cancel()
    record = await net.records.next()
    assert (record.flag, record.response_code) == (Flag.DOWNSTREAM_PROTOCOL_ERROR, 408)
    net.snapshot.publish(Snapshot("test", MeshSettings(listeners=ListenerLimits(idle_timeout=0.2))))
    idle = await net.connect(app)
    await ask(idle, GET)
    assert await read_all(idle) == b""  # an idle one is closed in order


async def test_a_head_in_time_has_all_the_time_for_its_body(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h1, "HEAD_TIMEOUT", 0.1)
    app = net.add("app")

    async def echo(stream: trio.SocketStream) -> None:
        assert (await read_until(stream, b"done")).endswith(b"done")
        await stream.send_all(OK)

    await net.serve(app, echo)
    client = await net.connect(app)
    await client.send_all(b"POST / HTTP/1.1\r\nHost: a\r\n")
    await trio.sleep(0.02)
    await client.send_all(b"Content-Length: 4\r\n\r\n")
    for byte in b"done":
        await trio.sleep(0.08)
        await client.send_all(bytes([byte]))
    assert (await read_until(client, b"ok")).startswith(b"HTTP/1.1 200 ")


def resident() -> int:
    """Bytes of this process in RAM."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("protocol", [Protocol.HTTP, Protocol.TCP])
async def test_who_does_not_read_is_not_stored_for(net: Net, protocol: Protocol) -> None:
    net.snapshot.publish(Snapshot("test", services={"app": ServiceSettings("app", "v1", ports={PORT: protocol})}))
    app = net.add("app")
    size = 200_000_000
    sent = 0

    async def pour(stream: trio.SocketStream) -> None:
        nonlocal sent
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        piece = bytes(1_000_000)
        while sent < size:
            await stream.send_all(piece)
            sent += len(piece)

    await net.serve(app, pour)
    before = resident()
    client = await net.connect(app)
    await client.send_all(GET)
    last = -1
    with trio.fail_after(10):
        while last < sent or not sent:  # until nothing moves
            last = sent
            await trio.sleep(0.2)
    assert sent < size / 4  # the kernel's buffers are all there is
    assert resident() - before < 16_000_000
    with trio.fail_after(20):
        received = 0
        while received < size:
            received += len(await client.receive_some(1 << 20))
    assert resident() - before < 24_000_000


async def test_idle_connections_cost_little_and_slow_nobody(net: Net) -> None:
    declare(net)
    app = net.add("app")
    await net.serve(app, answering())
    await ask(await net.connect(app), GET)
    address = net.captures.value.captured[net.caller.life].outbound[0].getsockname()
    before = resident()
    count = 2000
    idle = []
    try:
        for number in range(count):
            sock = socket.socket()
            idle.append(sock)
            sock.connect(address)
            if number % 50 == 0:
                await trio.testing.wait_all_tasks_blocked(0.001)
        with trio.fail_after(10):
            while len(net.fleet.sidecars[net.caller.life].connections) < count:  # noqa: ASYNC110 - no event
                await trio.sleep(0.01)
        each = (resident() - before) / count
        print(f"{each / 1024:.1f} KiB for each idle connection")
        assert each < 30 * 1024
        began = time.perf_counter()
        other = await net.connect_from_outside(app)
        for _ in range(20):
            await ask(other, GET)
        assert time.perf_counter() - began < 3
    finally:
        for sock in idle:
            sock.close()


async def test_idle_tunnels_cost_little(net: Net) -> None:
    net.snapshot.publish(Snapshot("test", services={"app": ServiceSettings("app", "v1", ports={PORT: Protocol.TCP})}))
    app = net.add("app")

    async def echo(stream: trio.SocketStream) -> None:
        while data := await stream.receive_some():
            await stream.send_all(data)

    await net.serve(app, echo)
    clients = []
    before = 0
    count = 300
    for number in range(count + 10):
        client = await net.connect(app)
        await client.send_all(b"x" * 1000)
        received = 0
        while received < 1000:
            received += len(await client.receive_some())
        clients.append(client)
        if number == 10:
            before = resident()
    each = (resident() - before) / count
    print(f"{each / 1024:.1f} KiB for each idle tunnel, with its client and its server")
    assert each < 200 * 1024


async def test_a_drain_finds_what_was_accepted_a_moment_ago(net: Net) -> None:
    declare(net)
    app = net.add("app")
    await net.serve(app, answering())
    sidecar = net.fleet.sidecars[net.caller.life]
    client = socket.socket()
    client.connect(net.captures.value.captured[net.caller.life].outbound[0].getsockname())
    with trio.fail_after(1):
        while not sidecar.connections:
            await trio.lowlevel.checkpoint()
    with trio.fail_after(1):
        await sidecar.drain(0.5)
    client.settimeout(1)
    assert client.recv(1) == b""
    client.close()


async def test_a_drain_that_runs_out_of_patience_never_completes_an_answer(net: Net) -> None:
    app = net.add("app")

    async def endless(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\nthe beginning")
        await trio.sleep_forever()

    await net.serve(app, endless)
    client = await net.connect(app)
    await client.send_all(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    await read_until(client, b"beginning")
    await net.fleet.sidecars[net.caller.life].drain(0.05)
    with pytest.raises(trio.BrokenResourceError):
        await read_all(client)
    assert (await net.records.next()).flag is Flag.OVERLOAD_MANAGER


async def test_a_head_larger_than_any_is_refused_before_it_has_come(net: Net) -> None:
    declare(net)
    app = net.add("app")
    await net.serve(app, answering())
    client = await net.connect(app)
    sent = 0
    with trio.fail_after(5):
        try:
            await client.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n")
            while sent < 100 * LIMITS.head:
                await client.send_all(b"X: " + b"y" * 1000 + b"\r\n")
                sent += 1005
                await trio.lowlevel.checkpoint()
        except trio.BrokenResourceError:
            pass
    assert (await net.records.next()).response_code == 431
