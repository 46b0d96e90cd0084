"""What a callee can do wrong in HTTP/2: each with the status and the flag it earns. The next request is served."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import h2.events
import pytest
import trio
import trio.testing

from composemesh.model.flag import Flag
from composemesh.proxy.codec.h2.frames import PREFACE
from mesh.http2 import Peer
from mesh.net import Handler, Net
from wire.h2.raw import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PUSH_PROMISE,
    RST_STREAM,
    frame,
    headers,
    parse,
    rst,
    settings,
    window_update,
)

UPE, UC, NONE = Flag.UPSTREAM_PROTOCOL_ERROR, Flag.UPSTREAM_CONNECTION_TERMINATION, Flag.NONE
CLOSE = b"\0 and close"
"""Stands for the end of the connection where a script has it last."""
STATUS = (b":status", b"200")


def head(*fields: tuple[bytes, bytes], end: bool = False, stream: int = 1) -> bytes:
    return headers(stream, [*fields], END_HEADERS | (END_STREAM if end else 0))


def data(payload: bytes, *, end: bool = False) -> bytes:
    return frame(DATA, END_STREAM if end else 0, 1, payload)


def goaway(last: int, code: int = 0) -> bytes:
    return frame(GOAWAY, 0, 0, struct.pack(">LL", last, code))


OK = head(STATUS) + data(b"ok", end=True)


@dataclass(frozen=True)
class Case:
    """What a server sends, when it has been asked, instead of an answer or of the rest of one."""

    said: bytes
    flag: Flag
    status: int = 502


BEFORE: dict[str, Case] = {
    "a reset": Case(rst(1, 2), UC, 503),
    "a close": Case(CLOSE, UC, 503),
    "half a frame and a close": Case(head(STATUS)[:7] + CLOSE, UC, 503),
    "GOAWAY that leaves the request out": Case(goaway(0) + CLOSE, NONE, 200),
    "a reset that says it was refused": Case(rst(1, 7), NONE, 200),
    "HTTP/1.1": Case(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" + CLOSE, UPE),
    "DATA before HEADERS": Case(data(b"ok", end=True), UPE),
    "no :status": Case(head((b"server", b"x"), end=True), UPE),
    "two of :status": Case(head(STATUS, STATUS, end=True), UPE),
    ":status after a field": Case(head((b"server", b"x"), STATUS, end=True), UPE),
    ":status of letters": Case(head((b":status", b"abc"), end=True), UPE),
    ":status of two digits": Case(head((b":status", b"20"), end=True), UPE),
    ":status of four digits": Case(head((b":status", b"2000"), end=True), UPE),
    "a request's pseudo-field": Case(head(STATUS, (b":path", b"/"), end=True), UPE),
    "an unknown pseudo-field": Case(head(STATUS, (b":reason", b"OK"), end=True), UPE),
    "a name in capitals": Case(head(STATUS, (b"Server", b"x"), end=True), UPE),
    "an empty name": Case(head(STATUS, (b"", b"x"), end=True), UPE),
    "Connection": Case(head(STATUS, (b"connection", b"close"), end=True), UPE),
    "Transfer-Encoding": Case(head(STATUS, (b"transfer-encoding", b"chunked"), end=True), UPE),
    "a line break in a value": Case(head(STATUS, (b"x", b"a\r\nset-cookie: b"), end=True), UPE),
    "a NUL in a value": Case(head(STATUS, (b"x", b"a\0b"), end=True), UPE),
    "101": Case(head((b":status", b"101"), end=True), UPE),
    "an interim that ends the stream": Case(head((b":status", b"103"), end=True), UPE),
    "interims without end": Case(head((b":status", b"103")) * 20, UPE),
    "a length and no body": Case(head(STATUS, (b"content-length", b"5"), end=True), UPE),
    "a negative length": Case(head(STATUS, (b"content-length", b"-1")), UPE),
    "two lengths": Case(head(STATUS, (b"content-length", b"5"), (b"content-length", b"6")), UPE),
    "an index of no table": Case(headers(1, raw=b"\xff\xff\x7f"), UPE),
    "a header bomb": Case(headers(1, raw=b"\x88\x40\x01x\x7f\x81\x1e" + b"y" * 3968 + b"\xbe" * 6000), UPE),
    "101 fields": Case(head(STATUS, *[(b"x", b"y")] * 101, end=True), UPE),
    "a push": Case(frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2\x82\x86\x84\x41\x01a"), UPE),
    "an answer to what nobody asked": Case(head(STATUS, end=True, stream=99), UPE),
    "a stream of its own": Case(head(STATUS, end=True, stream=2), UPE),
    "CONTINUATION of nothing": Case(frame(CONTINUATION, END_HEADERS, 1, b"\x88"), UPE),
    "DATA amid a header block": Case(frame(HEADERS, 0, 1, b"\x88") + data(b"ok"), UPE),
    "a frame that is too long": Case(frame(DATA, 0, 1, b"x" * 16385), UPE),
    "a PING of seven bytes": Case(frame(PING, 0, 0, b"7 bytes"), UPE),
    "a reset of nothing": Case(frame(RST_STREAM, 0, 0, bytes(4)), UPE),
    "a window that overflows": Case(window_update(0, 2**31 - 1), UPE),
    "a setting that cannot be": Case(settings((4, 2**31)), UPE),
    "PINGs without end": Case(frame(PING, 0, 0, bytes(8)) * 1000, UPE),
    "SETTINGS without end": Case(settings() * 1000, UPE),
    "window updates without end": Case(window_update(0, 1) * 1000, UPE),
    "frames of unknown types without end": Case(frame(0xBB) * 1000, UPE),
    "a header block without end": Case(
        frame(HEADERS, 0, 1, b"\x88") + frame(CONTINUATION, 0, 1, b"\x00") * 1000, UPE
    ),
    "padding longer than the frame": Case(frame(DATA, 8, 1, b"\xff"), UPE),
}
"""Before an answer: the client gets the mesh's own, or that of another try."""

AMID: dict[str, Case] = {
    "a reset": Case(rst(1, 2), UC),
    "a close": Case(CLOSE, UC),
    "GOAWAY that leaves the request out": Case(goaway(0), UC),
    "the end, three bytes too soon": Case(data(b"", end=True), UPE),
    "three bytes too many": Case(data(b"and more", end=True), UPE),
    "trailers with a pseudo-field": Case(data(b"end") + head(STATUS, end=True), UPE),
    "trailers with Connection": Case(data(b"end") + head((b"connection", b"close"), end=True), UPE),
    "trailers with a length": Case(data(b"end") + head((b"content-length", b"5"), end=True), UPE),
    "trailers with Host": Case(data(b"end") + head((b"host", b"b"), end=True), UPE),
    "trailers that do not end it": Case(data(b"end") + head((b"x", b"y")), UPE),
    "trailers that are too soon": Case(head((b"x", b"y"), end=True), UPE),
    "a second head": Case(head(STATUS), UPE),
    "empty DATA without end": Case(data(b"") * 1000, UPE),
    "more than the window holds": Case(frame(DATA, 0, 1, b"x" * 16384) * 80, UPE),
    "something that is no frame": Case(b"\xff" * 30, UPE),
}
"""Two of five bytes have come: the client's stream is reset, so that what it has cannot pass for the whole."""


def misbehaving(begun: bytes, said: bytes) -> Handler:
    """Answers the first request in its own way, every later one properly."""
    asked = 0

    async def handle(stream: trio.SocketStream) -> None:
        nonlocal asked
        heard = b""
        greeted = False
        while more := await stream.receive_some():
            heard += more
            if not greeted and heard.startswith(PREFACE):
                heard, greeted = heard.removeprefix(PREFACE), True
                await stream.send_all(settings())
            while greeted and len(heard) >= 9 and len(heard) >= 9 + (size := int.from_bytes(heard[:3], "big")):
                ((kind, _, number, _),) = parse(heard[: 9 + size])
                heard = heard[9 + size :]
                if kind != HEADERS:
                    continue
                asked += 1
                if asked > 1:
                    await stream.send_all(head(STATUS, stream=number) + frame(DATA, END_STREAM, number, b"ok"))
                    continue
                if begun:
                    await stream.send_all(begun)
                    await trio.testing.wait_all_tasks_blocked(0.01)
                await stream.send_all(said.removesuffix(CLOSE))
                if said.endswith(CLOSE):
                    return

    async def closing(stream: trio.SocketStream) -> None:
        async with stream:
            await handle(stream)

    return closing


async def served(net: Net, client: Peer) -> None:
    """The next request is none the worse for it."""
    client.request(b"/", b"POST")
    await client.flush()
    answer = await client.next(h2.events.ResponseReceived)
    assert dict(answer.headers)[b":status"] == b"200"
    await client.next(h2.events.StreamEnded)


@pytest.mark.parametrize("name", BEFORE)
async def test_instead_of_an_answer(net: Net, name: str) -> None:
    case = BEFORE[name]
    app = net.add("app")
    await net.serve(app, misbehaving(b"", case.said))
    client = Peer(await net.connect(app), client=True)
    client.request(b"/", b"POST")
    await client.flush()
    fields = dict((await client.next(h2.events.ResponseReceived)).headers)
    await client.next(h2.events.StreamEnded)
    record = await net.records.next()
    assert (record.response_code, record.flag) == (case.status, case.flag)
    assert fields[b":status"] == b"%d" % case.status
    assert fields.get(b"x-composemesh-flag") == (None if case.flag is NONE else case.flag.value.encode())
    assert record.attempts == (2 if case.flag is NONE else 1)
    await served(net, client)


@pytest.mark.parametrize("name", AMID)
async def test_instead_of_the_rest_of_an_answer(net: Net, name: str) -> None:
    case = AMID[name]
    app = net.add("app")
    begun = head(STATUS, (b"content-length", b"5")) + data(b"tw")
    await net.serve(app, misbehaving(begun, case.said))
    client = Peer(await net.connect(app), client=True)
    number = client.request(b"/", b"POST")
    await client.flush()
    await client.next(h2.events.ResponseReceived)
    reset = await client.next(h2.events.StreamReset)
    assert reset.stream_id == number
    record = await net.records.next()
    assert (record.response_code, record.flag) == (200, case.flag)
    await served(net, client)


@pytest.mark.parametrize(
    "more",
    {
        "nothing": b"",
        "the answer again": OK,
        "DATA": data(b"more"),
        "a reset": rst(1, 2),
        "GOAWAY": goaway(1),
    }.items(),
    ids=lambda item: item[0],
)
async def test_after_a_whole_answer_nothing_changes_it(net: Net, more: tuple[str, bytes]) -> None:
    app = net.add("app")
    await net.serve(app, misbehaving(b"", OK + more[1]))
    client = Peer(await net.connect(app), client=True)
    client.request(b"/", b"POST")
    await client.flush()
    fields, body, trailers = await client.answer()
    assert (fields[b":status"], body, trailers) == (b"200", b"ok", {})
    await served(net, client)
    assert [(record.response_code, record.flag) for record in net.records.all] == [(200, NONE)] * 2
