"""Servers that do not take a request whole: they answer, or go, before. Nothing that was answered is asked twice."""

from __future__ import annotations

import struct
from collections.abc import Callable

import h2.events
import pytest
import trio

from composemesh.model.flag import Flag
from composemesh.proxy.codec.h2.frames import PREFACE
from mesh.http2 import Peer
from mesh.net import Handler, Net, read_until
from wire.h2.raw import END_HEADERS, END_STREAM, GOAWAY, HEADERS, SETTINGS, frame, headers, parse, rst, settings

UC, NONE = Flag.UPSTREAM_CONNECTION_TERMINATION, Flag.NONE
NO_WINDOW = settings((4, 0))
NO_STREAMS = settings((3, 0))
CLOSE = b"\0 and close"
Answer = Callable[[int], bytes]
"""What is said to a request on a stream."""


def answered(number: int, status: bytes = b"200") -> bytes:
    return headers(number, [(b":status", status)], END_HEADERS | END_STREAM)


def server(
    greeting: bytes, first: Answer, then: Answer, *, opened: list[trio.SocketStream]
) -> tuple[Handler, list[int]]:
    """Speaks HTTP/2 as told: to the first request and to each that follows. Its connections stand in `opened` while
    they last; the streams that it was asked on are returned."""
    asked: list[int] = []

    async def handle(stream: trio.SocketStream) -> None:
        opened.append(stream)
        try:
            async with stream:
                await converse(stream)
        finally:
            opened.remove(stream)

    async def converse(stream: trio.SocketStream) -> None:
        heard = await read_until(stream, PREFACE)
        heard = heard.removeprefix(PREFACE)
        await stream.send_all(greeting)
        while True:
            while len(heard) >= 9 and len(heard) >= (end := 9 + int.from_bytes(heard[:3], "big")):
                ((kind, flags, number, _),) = parse(heard[:end])
                heard = heard[end:]
                if kind == SETTINGS and not flags:
                    await stream.send_all(settings(flags=1))
                if kind == HEADERS:
                    asked.append(number)
                    said = (then if len(asked) > 1 else first)(number)
                    await stream.send_all(said.removesuffix(CLOSE))
                    if said.endswith(CLOSE):
                        return
            more = await stream.receive_some()
            if not more:
                return
            heard += more

    return handle, asked


@pytest.mark.parametrize(
    ("said", "status", "flag"),
    {
        "an answer": (lambda number: answered(number, b"413"), 413, NONE),
        "an answer and a reset": (lambda number: answered(number, b"413") + rst(number, 0), 413, NONE),
        "a reset": (lambda number: rst(number, 2), 503, UC),
        "the end of the connection": (lambda _: CLOSE, 503, UC),
    }.values(),
    ids=["an answer", "an answer and a reset", "a reset", "the end of the connection"],
)
async def test_a_server_that_opens_no_window_for_a_body(net: Net, said: Answer, status: int, flag: Flag) -> None:
    """The body cannot go; all the same its server has been asked, may have acted, and is listened to."""
    app = net.add("app")
    handle, asked = server(NO_WINDOW, answered, said, opened=[])
    await net.serve(app, handle)
    client = Peer(await net.connect(app), client=True)
    client.request(b"/")
    await client.flush()
    await client.answer()
    number = client.request(b"/", b"POST", end=False)
    client.h2.send_data(number, b"all of the body", end_stream=True)
    await client.flush()
    head, _, _ = await client.answer()
    assert head[b":status"] == b"%d" % status
    record = await net.records.next(2)
    assert (record.response_code, record.flag, record.attempts) == (status, flag, 1)
    assert len(asked) == 2


async def test_a_body_goes_once_there_is_a_window_for_it(net: Net) -> None:
    app = net.add("app")
    body = b"more than a window" * 3
    heard = b""

    async def handle(stream: trio.SocketStream) -> None:
        nonlocal heard
        peer = Peer(stream, client=False)
        peer.h2.update_settings({4: 7})
        await peer.flush()
        while True:
            event = await peer.next(h2.events.Event)
            if isinstance(event, h2.events.DataReceived):
                heard += event.data
            elif isinstance(event, h2.events.StreamEnded):
                peer.h2.send_headers(event.stream_id, [(b":status", b"200")], end_stream=True)
                await peer.flush()

    await net.serve(app, handle)
    client = Peer(await net.connect(app), client=True)
    client.request(b"/")
    await client.flush()
    await client.answer()
    number = client.request(b"/", b"POST", end=False)
    client.h2.send_data(number, body, end_stream=True)
    await client.flush()
    head, _, _ = await client.answer()
    assert (head[b":status"], heard) == (b"200", body)


@pytest.mark.parametrize(
    ("greeting", "answer"),
    {
        "GOAWAY": (settings(), lambda number: answered(number) + frame(GOAWAY, 0, 0, struct.pack(">LL", number, 0))),
        "no streams": (NO_STREAMS, answered),
    }.values(),
    ids=["GOAWAY", "no streams"],
)
async def test_a_connection_that_takes_nothing_more_is_not_kept(net: Net, greeting: bytes, answer: Answer) -> None:
    """Its server may not close it: one for each request would use all descriptors up."""
    app = net.add("app")
    opened: list[trio.SocketStream] = []
    handle, asked = server(greeting, answer, answer, opened=opened)
    await net.serve(app, handle)
    client = Peer(await net.connect(app), client=True)
    for _ in range(20):
        client.request(b"/")
        await client.flush()
        await client.answer()
    assert len(asked) == 20
    with trio.fail_after(5):
        while opened:  # noqa: ASYNC110 - no event says so
            await trio.sleep(0.005)
