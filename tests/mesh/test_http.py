"""HTTP/1.1 through a sidecar: what arrives, what is added, what is recorded."""

from __future__ import annotations

import re

import pytest
import trio

from composemesh.model.flag import Flag
from mesh.net import GET, OK, Net, answering, ask, read_all, read_until


async def test_one_request_is_answered_marked_and_recorded(net: Net) -> None:
    seen: list[bytes] = []
    app = net.add("app")
    await net.serve(app, answering(OK, seen))
    client = await net.connect(app)
    answer = await ask(client, b"GET /a?b=c HTTP/1.1\r\nHost: app:8080\r\nX-Mixed-Case: kept\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nserver: composemesh\r\n" in answer
    assert re.search(rb"\r\nx-envoy-upstream-service-time: \d+\r\n", answer)
    (head,) = seen
    assert head.startswith(b"GET /a?b=c HTTP/1.1\r\nHost: app:8080\r\nX-Mixed-Case: kept\r\n")
    assert re.search(rb"\r\nx-request-id: [0-9a-f-]{36}(\r\n|$)", head)
    assert b"\r\nx-forwarded-for: 127.0.0.1" in head
    assert b"\r\nx-forwarded-proto: http" in head
    record = await net.records.next()
    assert (record.source.service, record.destination.service) == ("caller", "app")
    assert (record.method, record.path, record.authority) == ("GET", "/a?b=c", "app:8080")
    assert (record.response_code, record.flag, record.attempts, record.bytes_sent) == (200, Flag.NONE, 1, 2)
    assert record.destination.workload == app.name


async def test_a_connection_serves_many_requests_and_the_upstream_one_too(net: Net) -> None:
    app = net.add("app")
    connections = 0

    async def count(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        await answering()(stream)

    await net.serve(app, count)
    client = await net.connect(app)
    for _ in range(20):
        await ask(client, GET)
    assert connections == 1
    assert len(net.records.all) == 20


async def test_pipelined_requests_are_answered_in_order(net: Net) -> None:
    app = net.add("app")

    async def echo_target(stream: trio.SocketStream) -> None:
        data = b""
        while more := await stream.receive_some():
            data += more
            while b"\r\n\r\n" in data:
                head, _, data = data.partition(b"\r\n\r\n")
                target = head.split(b" ")[1]
                await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), target))

    await net.serve(app, echo_target)
    client = await net.connect(app)
    await client.send_all(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(5)))
    answer = await read_until(client, b"/4")
    assert re.findall(rb"\r\n\r\n(/\d)", answer) == [b"/0", b"/1", b"/2", b"/3", b"/4"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_bodies_stream_both_ways_at_once(net: Net, chunked: bool) -> None:
    """The application echoes while it receives: the first bytes come back before the last have been sent."""
    app = net.add("app")

    async def echo(stream: trio.SocketStream) -> None:
        head = await read_until(stream, b"\r\n\r\n")
        head, _, body = head.partition(b"\r\n\r\n")
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 1048576"
        assert framing.lower() in head.lower()
        await stream.send_all(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + body)
        while more := await stream.receive_some():
            await stream.send_all(more)

    await net.serve(app, echo)
    client = await net.connect(app)
    piece = bytes(range(256)) * 256
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 1048576"
    await client.send_all(b"POST / HTTP/1.1\r\nHost: app\r\n" + framing + b"\r\n\r\n")
    first = b"10000\r\n" + piece + b"\r\n" if chunked else piece
    await client.send_all(first)
    await read_until(client, piece[-256:])
    await client.send_all(first * 15 + (b"0\r\n\r\n" if chunked else b""))
    received = 65536
    with trio.fail_after(5):
        while received < 16 * 65536:
            received += len(await client.receive_some())
    record = await net.records.next()
    assert (record.bytes_received, record.bytes_sent) == (1048576, 1048576)


async def test_100_continue_comes_from_the_application(net: Net) -> None:
    app = net.add("app")

    async def handle(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await read_until(stream, b"body") == b"body"
        await stream.send_all(OK)

    await net.serve(app, handle)
    client = await net.connect(app)
    await client.send_all(b"POST / HTTP/1.1\r\nHost: app\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    assert (await read_until(client, b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
    answer = await ask(client, b"body")
    assert answer.startswith(b"HTTP/1.1 200 ")
    record = await net.records.next()
    assert (record.response_code, record.bytes_received) == (200, 4)


async def test_head_has_no_body_and_keeps_the_connection(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"))
    client = await net.connect(app)
    for _ in range(2):
        answer = await ask(client, b"HEAD / HTTP/1.1\r\nHost: app\r\n\r\n", b"")
        assert b"Content-Length: 5000" in answer


async def test_an_accepted_upgrade_becomes_a_tunnel(net: Net) -> None:
    app = net.add("app")

    async def upgrade(stream: trio.SocketStream) -> None:
        head = await read_until(stream, b"\r\n\r\n")
        assert b"upgrade: websocket" in head.lower()
        await stream.send_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello"
        )
        while more := await stream.receive_some():
            await stream.send_all(more.upper())

    await net.serve(app, upgrade)
    client = await net.connect(app)
    answer = await ask(
        client, b"GET / HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", b"hello"
    )
    assert answer.startswith(b"HTTP/1.1 101 ")
    await client.send_all(b"shout")
    assert await read_until(client, b"SHOUT") == b"SHOUT"
    await client.aclose()
    record = await net.records.next()
    assert record.response_code == 101
    assert record.bytes_received == 5
    assert record.bytes_sent == 10


async def test_h2c_is_never_passed_on(net: Net) -> None:
    seen: list[bytes] = []
    app = net.add("app")
    await net.serve(app, answering(OK, seen))
    client = await net.connect(app)
    asked = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n"
    await ask(client, b"GET / HTTP/1.1\r\nHost: a\r\n" + asked + b"\r\n")
    assert b"h2c" not in seen[0]
    assert b"HTTP2-Settings" not in seen[0]


async def test_an_answer_before_the_end_of_the_request_is_relayed_at_once(net: Net) -> None:
    app = net.add("app")

    async def too_large(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")

    await net.serve(app, too_large)
    client = await net.connect(app)
    answer = await ask(client, b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 1000000\r\n\r\nbegin", b"no")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer


async def test_http_1_0_gets_a_body_that_ends_with_the_connection(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"))
    client = await net.connect(app)
    await client.send_all(b"GET / HTTP/1.0\r\n\r\n")
    answer = await read_all(client)
    assert answer.endswith(b"\r\n\r\nok")
    assert b"chunked" not in answer


async def test_a_request_from_outside_reaches_the_one_it_was_sent_to(net: Net) -> None:
    first, second = net.add("app"), net.add("app")
    for app in (first, second):
        await net.serve(
            app, answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(app.name), app.name.encode()))
        )
    for _ in range(4):
        client = await net.connect_from_outside(second)
        await ask(client, GET, second.name.encode())
    record = await net.records.next(4)
    assert record.source.service == "unknown"


async def test_replicas_take_turns_and_an_instance_can_be_named(net: Net) -> None:
    apps = [net.add("app") for _ in range(3)]
    for app in apps:
        await net.serve(
            app, answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nInstance: %b\r\n\r\nok" % app.name.encode())
        )
    client = await net.connect(apps[0])
    said = [re.search(rb"Instance: (\S+)", await ask(client, GET)) for _ in range(9)]
    names = [match[1].decode() for match in said if match]
    assert sorted(names) == sorted(3 * [app.name for app in apps])
    direct = await ask(client, b"GET / HTTP/1.1\r\nHost: " + apps[1].name.encode() + b"\r\n\r\n")
    assert b"Instance: " + apps[1].name.encode() in direct


async def test_a_network_that_the_caller_is_not_on_stays_out_of_reach_of_the_mesh(net: Net) -> None:
    """Docker keeps networks apart. The address is dialled as it stands, and nobody else of that service is."""
    other = net.add("app", network="private")
    client = await net.connect(other)
    assert (await ask(client, GET, b"upstream connect error")).startswith(b"HTTP/1.1 503 ")
    record = await net.records.next()
    assert record.destination.kind.value == "external"
