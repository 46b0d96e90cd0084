"""Bodies that go through filters: piece by piece, both ways, framed anew, and at the pace of their reader."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import h2.events
import pytest
import trio

from composemesh.model.flag import Flag
from composemesh.model.policy import Retry
from composemesh.plugin import Exchange
from composemesh.runtime.failures import figures
from mesh.filters import head_of, only, use
from mesh.http2 import Peer, Request, serving
from mesh.net import GET, Net, answering, ask, read_all, read_until
from mesh.routes import add_versions, applied, configure, rule, to

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nhello world"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n"


class Shout:
    """Both ways in capitals, and a mark at the end of each."""

    def __init__(self, config: object) -> None:
        pass

    def on_request_body(self, x: Exchange, data: bytes) -> bytes:
        return data.upper() if data else b"?"

    def on_response_body(self, x: Exchange, data: bytes) -> bytes:
        return data.upper() if data else b"!"


async def echo(stream: trio.SocketStream) -> None:
    """Answers every request with its head's framing and body, as they came."""
    data = b""
    while more := await stream.receive_some():
        data += more
        while b"\r\n\r\n" in data:
            head, _, rest = data.partition(b"\r\n\r\n")
            lines = {k.lower(): v for k, _, v in (line.partition(b": ") for line in head.split(b"\r\n")[1:])}
            if b"transfer-encoding" in lines:
                while not rest.endswith(b"0\r\n\r\n"):
                    rest += await stream.receive_some()
                body, data = rest, b""
            else:
                length = int(lines.get(b"content-length", b"0"))
                while len(rest) < length:
                    rest += await stream.receive_some()
                body, data = rest[:length], rest[length:]
            framing = b"chunked" if b"transfer-encoding" in lines else lines.get(b"content-length", b"none")
            await stream.send_all(
                b"HTTP/1.1 200 OK\r\nX-Framing: %b\r\nContent-Length: %d\r\n\r\n%b" % (framing, len(body), body)
            )


def dechunked(body: bytes) -> bytes:
    return b"".join(_chunks(body))


def _chunks(body: bytes) -> Iterator[bytes]:
    while body:
        size, _, body = body.partition(b"\r\n")
        yield body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]


async def test_a_body_that_came_along_is_changed_and_its_length_is_right(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, echo)
    use(net, Shout, service="app")
    stream = await net.connect(app)
    post = b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello"
    for _ in range(2):  # the connections last
        status, fields, body = head_of(await ask(stream, post, b"!"))
        assert (status, fields["x-framing"], fields["content-length"], body) == (200, "6", "7", b"HELLO?!")
    record = await net.records.next(2)
    assert (record.bytes_received, record.bytes_sent) == (5, 7)


async def test_a_request_body_that_streams_is_sent_in_chunks(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, echo)
    use(net, only("on_request_body", lambda x, data: data.upper() if data else b"?"), service="app")
    stream = await net.connect(app)
    await stream.send_all(b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\nhel")
    await trio.testing.wait_all_tasks_blocked(0.01)
    await stream.send_all(b"lo wo")
    await trio.testing.wait_all_tasks_blocked(0.01)
    await stream.send_all(b"rl")
    status, fields, body = head_of(await read_until(stream, b"0\r\n\r\n"))
    assert (status, fields["x-framing"], dechunked(body)) == (200, "chunked", b"HELLO WORL?")
    assert (await net.records.next()).bytes_received == 10


async def test_a_chunked_request_stays_chunked(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, echo)
    use(net, only("on_request_body", lambda x, data: data.upper() if data else b"?"))
    stream = await net.connect(app)
    await stream.send_all(b"POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await trio.testing.wait_all_tasks_blocked(0.01)
    await stream.send_all(b"2\r\nde\r\n0\r\n\r\n")
    _, fields, body = head_of(await read_until(stream, b"0\r\n\r\n"))
    assert (fields["x-framing"], dechunked(body)) == ("chunked", b"ABCDE?")


@pytest.mark.parametrize("answer", [CHUNKED, UNTIL_CLOSE, LONG + b"hello world"])
async def test_a_response_of_any_framing(net: Net, answer: bytes) -> None:
    async def once(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(answer)

    app = net.add("app")
    await net.serve(app, once)
    use(net, Shout)
    stream = await net.connect(app)
    await stream.send_all(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    _, fields, body = head_of(await read_all(stream))
    if "transfer-encoding" in fields:
        assert "content-length" not in fields
        body = dechunked(body)
    else:
        assert fields["content-length"] == "12"
    assert body == b"HELLO WORLD!"


async def test_a_response_in_pieces_goes_on_piece_by_piece(net: Net) -> None:
    go = trio.Event()

    async def slow(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(LONG + b"hello ")
        await go.wait()
        await stream.send_all(b"world")

    app = net.add("app")
    await net.serve(app, slow)
    use(net, Shout)
    stream = await net.connect(app)
    await stream.send_all(GET)
    data = await read_until(stream, b"HELLO ")
    assert b"chunked" in data
    assert b"ontent-length" not in data
    go.set()
    data += await read_until(stream, b"0\r\n\r\n")
    assert dechunked(head_of(data)[2]) == b"HELLO WORLD!"
    record = await net.records.next()
    assert record.bytes_sent == 12


async def test_http_1_0_has_the_end_of_the_connection_for_an_end(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, answering(CHUNKED))
    use(net, Shout)
    stream = await net.connect(app)
    await stream.send_all(b"GET / HTTP/1.0\r\nHost: app\r\n\r\n")
    _, fields, body = head_of(await read_all(stream))
    assert "transfer-encoding" not in fields
    assert body == b"HELLO WORLD!"


async def test_several_filters_see_what_the_others_made_of_it(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, answering())
    use(net, only("on_response_body", lambda x, data: data + b"1" if data else b"", "Outer"))
    use(net, only("on_response_body", lambda x, data: data + b"2" if data else b"", "Inner"), service="app")
    assert head_of(await ask(await net.connect(app), GET))[2] == b"ok21"


async def test_a_filter_that_holds_back_sends_at_the_end(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, answering(CHUNKED))

    def hold(x: Exchange, data: bytes) -> bytes:
        held = x.state.setdefault("held", bytearray())
        held.extend(data)
        return b"" if data else bytes(held[::-1])

    use(net, only("on_response_body", hold))
    assert head_of(await ask(await net.connect(app), GET, b"dlrow olleh"))[1]["content-length"] == "11"


@pytest.mark.parametrize(
    ("request_line", "answer", "length"),
    [
        (b"HEAD / HTTP/1.1", LONG, "11"),
        (b"GET / HTTP/1.1", b"HTTP/1.1 204 No Content\r\n\r\n", None),
        (b"GET / HTTP/1.1", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 11\r\n\r\n", "11"),
        (b"GET / HTTP/1.1", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "0"),
    ],
)
async def test_where_there_is_no_body_there_is_nothing_to_change(
    net: Net, request_line: bytes, answer: bytes, length: str | None
) -> None:
    app = net.add("app")
    await net.serve(app, answering(answer))
    use(net, Shout)
    stream = await net.connect(app)
    _, fields, body = head_of(await ask(stream, request_line + b"\r\nHost: app\r\n\r\n", b""))
    assert (fields.get("content-length"), body) == (length, b"")


async def test_a_body_that_a_filter_keeps_goes_through_as_it_is(net: Net) -> None:
    class Kept(Shout):
        def on_response(self, x: Exchange) -> None:
            x.keep_body(self)

    app = net.add("app")
    await net.serve(app, echo)
    use(net, Kept)
    stream = await net.connect(app)
    post = b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello"
    _, fields, body = head_of(await ask(stream, post, b"HELLO?"))
    assert (fields["content-length"], body) == ("6", b"HELLO?")


async def test_a_refusal_is_no_body_of_the_application_s(net: Net) -> None:
    """What the mesh says itself goes through filters as an answer does, unless they have seen another one."""

    class Failing(Shout):
        def on_response(self, x: Exchange) -> None:
            raise ValueError("boom")

    app = net.add("app")
    await net.serve(app, answering())
    use(net, Failing)
    assert b"filter failed: failing (FF)\n" in await ask(await net.connect(app), GET, b"(FF)\n")


# === failures ===


def failing_at(number: int) -> Callable[[Exchange, bytes], bytes]:
    def hook(x: Exchange, data: bytes) -> bytes:
        seen = x.state["seen"] = x.state.get("seen", 0) + 1
        if seen == number:
            raise ValueError("boom")
        return data

    return hook


@pytest.mark.parametrize("fail_open", [False, True])
async def test_an_answer_that_has_begun_is_cut(net: Net, fail_open: bool) -> None:
    go = trio.Event()

    async def slow(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(LONG + b"hello ")
        await go.wait()
        await stream.send_all(b"world")

    app = net.add("app")
    await net.serve(app, slow)
    use(net, only("on_response_body", failing_at(2)), fail_open=fail_open)
    stream = await net.connect(app)
    await stream.send_all(GET)
    data = await read_until(stream, b"hello ")
    go.set()
    with pytest.raises(trio.BrokenResourceError):
        data += await read_all(stream)
    assert not data.endswith(b"0\r\n\r\n")
    record = await net.records.next()
    assert (record.flag, record.details) == (Flag.FILTER_FAILED, "filter only failed")


async def test_a_request_whose_body_fails_on_its_way_is_refused(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, echo)
    use(net, only("on_request_body", failing_at(2)))
    stream = await net.connect(app)
    await stream.send_all(b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\nhel")
    await trio.testing.wait_all_tasks_blocked(0.01)
    await stream.send_all(b"lo wo")
    assert b"HTTP/1.1 500 " in await read_until(stream, b"(FF)\n")
    assert (await net.records.next()).flag is Flag.FILTER_FAILED


async def test_what_is_no_bytes_is_a_failure(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, answering())
    use(net, only("on_response_body", lambda x, data: "text"))
    assert b"(FF)" in await ask(await net.connect(app), GET, b"(FF)\n")
    assert "must return bytes" in figures(net.fleet.planner.filters.failures())["filter", "only"].last


# === back-pressure ===


async def test_a_reader_that_does_not_read_stops_the_application(net: Net) -> None:
    """Megabytes through a filter, and none of them are kept for a client that takes nothing."""
    sent, piece, pieces = 0, bytes(65536), 1024
    stuck = trio.Event()

    async def pour(stream: trio.SocketStream) -> None:
        nonlocal sent
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(piece) * pieces))
        for _ in range(pieces):
            with trio.move_on_after(1) as scope:
                await stream.send_all(piece)
            if scope.cancelled_caught:
                stuck.set()
                return
            sent += len(piece)

    app = net.add("app")
    await net.serve(app, pour)
    use(net, only("on_response_body", lambda x, data: data))
    stream = await net.connect(app)
    await stream.send_all(GET)
    with trio.fail_after(30):
        await stuck.wait()
    assert sent < len(piece) * pieces / 2


# === HTTP/2 and gRPC ===


async def test_http2_bodies_both_ways_with_trailers(net: Net) -> None:
    async def answer(peer: Peer, request: Request) -> None:
        body = b""
        while True:
            event = await peer.next(h2.events.Event)
            if isinstance(event, h2.events.DataReceived):
                body += event.data
            if isinstance(event, h2.events.StreamEnded):
                break
        head = [(b":status", b"200"), (b"content-type", b"application/grpc"), (b"content-length", b"%d" % len(body))]
        peer.h2.send_headers(request.stream_id, head)
        peer.h2.send_data(request.stream_id, body)
        peer.h2.send_headers(request.stream_id, [(b"grpc-status", b"0")], end_stream=True)

    app = net.add("app")
    await net.serve(app, serving(answer))
    use(net, Shout, service="app")
    peer = Peer(await net.connect(app), client=True)
    number = peer.ask((b"content-type", b"application/grpc"), method=b"POST", end=False)
    peer.h2.send_data(number, b"hello")
    await peer.flush()
    await trio.testing.wait_all_tasks_blocked(0.01)
    peer.h2.send_data(number, b" world", end_stream=True)
    await peer.flush()
    head, body, trailers = await peer.answer()
    assert b"content-length" not in head
    assert body == b"HELLO WORLD?!"
    assert trailers == {b"grpc-status": b"0"}
    assert (await net.records.next()).grpc_status == 0


# === tried again ===


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_request_that_is_sent_again_has_the_body_that_filters_made(net: Net, streamed: bool) -> None:
    """The first instance takes the request and dies; the second gets the same bytes, which the hook has seen once."""
    seen: list[bytes] = []

    def shout(x: Exchange, data: bytes) -> bytes:
        seen.append(data)
        return data.upper() if data else b"?"

    async def dies(stream: trio.SocketStream) -> None:
        await read_until(stream, b"HEL")

    await add_versions(net, "v1", handler=dies)
    versions = await add_versions(net, "v2", handler=echo)
    configure(net, rule(to(), retry=Retry(attempts=3, on=frozenset({"reset", "connect-failure", "5xx"}))))
    await applied(net)
    use(net, only("on_request_body", shout), service="reviews")
    for _ in range(4):  # both instances have their turns
        async with await net.connect(versions["v2"]) as stream:
            await stream.send_all(b"PUT / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 5\r\n\r\nhel")
            if streamed:
                await trio.testing.wait_all_tasks_blocked(0.01)
            await stream.send_all(b"lo")
            status, fields, body = head_of(await read_until(stream, b"?"))
            assert (status, fields["x-framing"]) in ((200, "6"), (200, "chunked"))
            assert re.sub(rb"[0-9\r\n]", b"", body) == b"HELLO?"
    assert b"".join(seen) == b"hello" * 4
    assert max(record.attempts for record in net.records.all) > 1
