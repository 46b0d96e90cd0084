"""gRPC-Web through the mesh, as a browser speaks it, to a real gRPC server."""

from __future__ import annotations

import base64
import struct

import pytest
import trio

from composemesh.model.flag import Flag
from composemesh.model.snapshot import Protocol, ServiceSettings, Snapshot
from mesh import test_grpc
from mesh.gateways import free_port, gateway, https, open_up, route, secure
from mesh.net import PORT, Net, answering, read_until
from mesh.test_bridge import fields

pytest.importorskip("grpc", reason="grpcio is not installed (extra `test`)")

service = test_grpc.service
BINARY, TEXT = b"application/grpc-web+proto", b"application/grpc-web-text+proto"


def frame(message: bytes) -> bytes:
    return struct.pack("!BI", 0, len(message)) + message


def frames(body: bytes) -> tuple[list[bytes], dict[bytes, bytes]]:
    """The messages of a response, and the trailers of its last frame."""
    messages: list[bytes] = []
    while body:
        flag, size = struct.unpack_from("!BI", body)
        payload, body = body[5 : 5 + size], body[5 + size :]
        if flag & 0x80:
            assert body == b"", "nothing comes after the trailers"
            return messages, dict(line.split(b":", 1) for line in payload.removesuffix(b"\r\n").split(b"\r\n"))
        messages.append(payload)
    return messages, {}


def request(path: bytes, body: bytes, kind: bytes, *, chunked: bool = False, more: bytes = b"") -> bytes:
    head = b"POST /test.Echo/" + path + b" HTTP/1.1\r\nHost: app\r\nX-Grpc-Web: 1\r\n" + more
    head += b"Content-Type: " + kind + b"\r\n"
    if chunked:
        pieces = [body[at : at + 3] for at in range(0, len(body), 3)]
        encoded = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + encoded + b"0\r\n\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def answer(stream: trio.abc.Stream) -> tuple[bytes, bytes]:
    """Head and body of the next response."""
    data = await read_until(stream, b"\r\n\r\n")
    head, _, rest = data.partition(b"\r\n\r\n")
    length = dict(fields(head)).get(b"content-length")
    if length is not None:
        size = int(length)
        while len(rest) < size:
            rest += await stream.receive_some()
        return head, rest
    body = b""
    while True:
        while b"\r\n" not in rest:
            rest += await stream.receive_some()
        line, _, rest = rest.partition(b"\r\n")
        size = int(line, 16)
        while len(rest) < size + 2:
            rest += await stream.receive_some()
        if not size:
            return head, body
        body, rest = body + rest[:size], rest[size + 2 :]


async def ask(stream: trio.abc.Stream, raw: bytes, kind: bytes) -> tuple[list[bytes], dict[bytes, bytes]]:
    await stream.send_all(raw)
    head, body = await answer(stream)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"content-type: " + kind in head
    if kind is TEXT:
        body = b"".join(base64.b64decode(piece, validate=True) for piece in padded(body))
    return frames(body)


def padded(text: bytes) -> list[bytes]:
    """Base64 of several pieces, each padded by itself, taken apart into fours: as a browser's library reads it."""
    return [text[at : at + 4] for at in range(0, len(text), 4)]


@pytest.fixture
async def browser(net: Net, service: str) -> trio.SocketStream:
    """A connection to the gRPC server, on a port that is declared `grpc-web`."""
    settings = ServiceSettings("app", "v1", ports={PORT: Protocol.GRPC_WEB})
    net.snapshot.publish(Snapshot("test", services={"app": settings}))
    await trio.testing.wait_all_tasks_blocked()
    (address,) = (each.addresses[0] for each in net.discovered.value.workloads if each.compose_service == "app")
    return await net.connect(address)


@pytest.mark.parametrize("kind", [BINARY, TEXT])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_unary_call(net: Net, browser: trio.SocketStream, kind: bytes, chunked: bool) -> None:
    for number, message in enumerate((b"", b"hello", b"x" * 100_000), 1):
        body = frame(message)
        raw = request(b"Echo", base64.b64encode(body) if kind is TEXT else body, kind, chunked=chunked and number < 3)
        messages, trailers = await ask(browser, raw, kind)
        assert messages == [message]
        assert trailers[b"grpc-status"] == b"0"
        assert trailers[b"x-echo-trailing-bin"] == b"q6s"
        record = await net.records.next(number)
        assert (record.protocol, record.http_version, record.grpc_status, record.flag) == ("grpc", 11, 0, Flag.NONE)


@pytest.mark.parametrize("kind", [BINARY, TEXT])
async def test_a_stream_of_answers(browser: trio.SocketStream, kind: bytes) -> None:
    body = frame(b"20")
    messages, trailers = await ask(
        browser, request(b"Count", base64.b64encode(body) if kind is TEXT else body, kind), kind
    )
    assert messages == [b"%d" % number for number in range(20)]
    assert trailers[b"grpc-status"] == b"0"


async def test_a_failure_has_its_status_and_its_words(net: Net, browser: trio.SocketStream) -> None:
    await browser.send_all(request(b"Fail", frame(b""), BINARY))
    head, body = await answer(browser)
    said = frames(body)[1] or {
        name: value for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n"))
    }
    assert (said[b"grpc-status"], said[b"grpc-message"]) == (b"5", b"nothing of that name: 100 %25")
    assert (await net.records.next()).grpc_status == 5


async def test_what_is_no_base64_is_refused(net: Net, browser: trio.SocketStream) -> None:
    await browser.send_all(request(b"Echo", b"?" * 8, TEXT))
    head, _ = await answer(browser)
    assert b"grpc-status: 13" in head
    assert b"content-type: application/grpc-web-text+proto" in head
    assert (await net.records.next()).flag is Flag.DOWNSTREAM_PROTOCOL_ERROR


async def test_where_nobody_listens_the_browser_is_told_in_grpc_web(net: Net) -> None:
    settings = ServiceSettings("app", "v1", ports={PORT: Protocol.GRPC_WEB})
    net.snapshot.publish(Snapshot("test", services={"app": settings}))
    app = net.add("app")
    stream = await net.connect(app)
    await stream.send_all(request(b"Echo", frame(b""), BINARY))
    head, _ = await answer(stream)
    assert b"content-type: application/grpc-web+proto" in head
    assert b"grpc-status: 14" in head


async def test_other_requests_pass_as_they_are_and_undeclared_ports_too(net: Net) -> None:
    seen: list[bytes] = []
    settings = ServiceSettings("app", "v1", ports={PORT: Protocol.GRPC_WEB})
    net.snapshot.publish(Snapshot("test", services={"app": settings}))
    app = net.add("app")
    await net.serve(app, answering(seen=seen))
    client = await net.connect(app)
    await client.send_all(b"GET / HTTP/1.1\r\nHost: app\r\n\r\n")
    assert (await answer(client))[1] == b"ok"
    net.snapshot.publish(Snapshot("test"))
    await trio.testing.wait_all_tasks_blocked()
    await net.serve(other := net.add("other"), answering(seen=seen))
    client = await net.connect(other)
    await client.send_all(request(b"Echo", b"", BINARY))
    await answer(client)
    assert b"application/grpc-web+proto" in seen[-1]


async def test_by_a_gateway_over_https(net: Net, browser: trio.SocketStream) -> None:
    port = free_port()
    await open_up(net, gateway(https(port, "app.localhost")), routes=[route("app.localhost", "app")])
    raw = request(b"Echo", frame(b"hello"), BINARY).replace(b"Host: app", b"Host: app.localhost")
    async with await secure(port, "app.localhost") as stream:
        messages, trailers = await ask(stream, raw, BINARY)
    assert (messages, trailers[b"grpc-status"]) == ([b"hello"], b"0")
