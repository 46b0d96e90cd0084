"""A client and an application that do not speak the same HTTP: everything that was said arrives, both ways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h2.events
import pytest
import trio

from composemesh.model.flag import Flag
from composemesh.model.policy import ConnectionLimits, DestinationPolicy, H2Upgrade, TrafficPolicy
from composemesh.model.snapshot import Snapshot
from composemesh.model.workload import Workload
from mesh.http2 import Peer, Request, serving
from mesh.net import GET, OK, PORT, Handler, Net, answering, ask, read_all, read_until

HTTP1, HTTP2 = H2Upgrade.NEVER, H2Upgrade.ALWAYS


def call_in(net: Net, protocol: H2Upgrade) -> None:
    policy = TrafficPolicy(connections=ConnectionLimits(h2_upgrade=protocol))
    net.snapshot.publish(Snapshot("test", policies={"app": DestinationPolicy("app", policy)}))


async def app_that_speaks(net: Net, protocol: H2Upgrade, handler: Handler) -> Workload:
    call_in(net, protocol)
    app = net.add("app")
    await net.serve(app, handler)
    return app


def fields(head: bytes) -> list[tuple[bytes, bytes]]:
    lines = head.split(b"\r\n")[1:]
    return [(name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines if line)]


class Seen:
    """An HTTP/2 application that remembers what it was asked, whole, and answers as told."""

    def __init__(self, *fields: tuple[bytes, bytes], body: bytes = b"ok", status: bytes = b"200") -> None:
        self.head = [(b":status", status), *fields]
        self.body = body
        self.trailers: list[tuple[bytes, bytes]] = []
        self.asked: list[tuple[bytes, bytes]] = []
        self.sent = b""
        self.sent_after: list[tuple[bytes, bytes]] = []

    async def __call__(self, peer: Peer, request: Request) -> None:
        self.asked, self.sent = list(request.headers), b""
        if request.stream_ended is None:
            while True:
                event = await peer.next(h2.events.Event)
                if isinstance(event, h2.events.DataReceived):
                    self.sent += event.data
                elif isinstance(event, h2.events.TrailersReceived):
                    self.sent_after = list(event.headers)
                elif isinstance(event, h2.events.StreamEnded):
                    break
        number = request.stream_id
        peer.h2.send_headers(number, self.head, end_stream=not self.body and not self.trailers)
        if self.body:
            peer.h2.send_data(number, self.body, end_stream=not self.trailers)
        if self.trailers:
            peer.h2.send_headers(number, self.trailers, end_stream=True)


async def test_http1_asks_http2(net: Net) -> None:
    seen = Seen((b"x-said", b"yes"))
    app = await app_that_speaks(net, HTTP2, serving(seen))
    client = await net.connect(app)
    for _ in range(2):
        answer = await ask(
            client, b"GET /a?b HTTP/1.1\r\nHost: app:8080\r\nX-Mine: 1\r\nConnection: x\r\nCookie: a=1; b=2\r\n\r\n"
        )
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert (b"x-said", b"yes") in fields(head)
        assert (b"content-length", b"2") in fields(head)
        assert body == b"ok"
        assert seen.asked[:4] == [
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":path", b"/a?b"),
            (b":authority", b"app:8080"),
        ]
        assert {name for name, _ in seen.asked[4:]} == {
            b"x-mine",
            b"cookie",
            b"x-forwarded-for",
            b"x-forwarded-proto",
            b"x-request-id",
        }
    await net.records.next(2)
    assert [record.http_version for record in net.records.all] == [11, 11]


async def test_a_body_and_what_comes_after_it_reach_http2(net: Net) -> None:
    seen = Seen()
    app = await app_that_speaks(net, HTTP2, serving(seen))
    client = await net.connect(app)
    head = b"POST / HTTP/1.1\r\nHost: app\r\n"
    await ask(client, head + b"Content-Length: 5\r\n\r\nhello")
    assert (seen.sent, (b"content-length", b"5") in seen.asked) == (b"hello", True)
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    after = b"X-Sum: 42\r\nConnection: close\r\nAuthorization: nobody\r\n\r\n"
    await ask(client, chunked + b"5\r\nhello\r\n0\r\n" + after)
    assert (seen.sent, seen.sent_after) == (b"hello", [(b"x-sum", b"42")])
    await client.send_all(chunked + b"5\r\nhello\r\n")
    await ask(client, b"6\r\n, you!\r\n0\r\nX-Sum: 43\r\n\r\n")
    assert (seen.sent, seen.sent_after) == (b"hello, you!", [(b"x-sum", b"43")])
    await net.records.next(3)
    assert [record.bytes_received for record in net.records.all] == [5, 5, 11]


@pytest.mark.parametrize("wanted", [True, False])
async def test_trailers_reach_the_http1_client_that_reads_them(net: Net, wanted: bool) -> None:
    seen = Seen()
    seen.trailers = [(b"grpc-status", b"0"), (b"x-sum", b"42")]
    app = await app_that_speaks(net, HTTP2, serving(seen))
    client = await net.connect(app)
    te = b"TE: trailers\r\nConnection: TE\r\n" if wanted else b""
    answer = await ask(client, b"GET / HTTP/1.1\r\nHost: app\r\n" + te + b"\r\n", b"\r\n0\r\n")
    answer += b"" if answer.endswith(b"\r\n\r\n") else await read_until(client, b"\r\n\r\n")
    end = b"0\r\ngrpc-status: 0\r\nx-sum: 42\r\n\r\n" if wanted else b"0\r\n\r\n"
    assert answer.endswith(b"\r\n\r\n2\r\nok\r\n" + end)
    assert ((b"te", b"trailers") in seen.asked) is wanted


@pytest.mark.parametrize(
    ("method", "status", "length"), [(b"HEAD", b"200", b"5000"), (b"GET", b"304", b"5000"), (b"GET", b"204", b"")]
)
async def test_http2_answers_without_a_body(net: Net, method: bytes, status: bytes, length: bytes) -> None:
    told = [(b"content-length", length)] if length else []
    app = await app_that_speaks(net, HTTP2, serving(Seen(*told, status=status, body=b"")))
    client = await net.connect(app)
    for _ in range(2):  # the second time proves that nothing but the head had come
        answer = await ask(client, method + b" / HTTP/1.1\r\nHost: app\r\n\r\n", b"")
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert answer.endswith(b"\r\n\r\n")
        assert [value for name, value in fields(answer) if name == b"content-length"] == ([length] if length else [])


async def test_an_empty_http2_answer_has_an_end_for_http1(net: Net) -> None:
    app = await app_that_speaks(net, HTTP2, serving(Seen(body=b"")))
    client = await net.connect(app)
    for _ in range(2):
        assert b"content-length: 0" in await ask(client, GET, b"")


async def test_interim_answers_reach_http1(net: Net) -> None:
    async def answer(peer: Peer, request: Request) -> None:
        number = request.stream_id
        peer.h2.send_headers(number, [(b":status", b"103"), (b"link", b"</x.css>")])
        peer.h2.send_headers(number, [(b":status", b"100")])
        await peer.flush()
        assert (await peer.next(h2.events.DataReceived)).data == b"body"
        peer.h2.send_headers(number, [(b":status", b"200"), (b"content-length", b"2")])
        peer.h2.send_data(number, b"ok", end_stream=True)

    app = await app_that_speaks(net, HTTP2, serving(answer))
    client = await net.connect(app)
    await client.send_all(b"POST / HTTP/1.1\r\nHost: app\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    early = await read_until(client, b" 100 Continue\r\n\r\n")
    assert early.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: </x.css>\r\n")
    assert (await ask(client, b"body")).startswith(b"HTTP/1.1 200 ")


async def test_http_1_0_without_a_host_asks_the_service(net: Net) -> None:
    seen = Seen()
    app = await app_that_speaks(net, HTTP2, serving(seen))
    client = await net.connect(app)
    await client.send_all(b"GET / HTTP/1.0\r\n\r\n")
    assert (await read_all(client)).endswith(b"\r\n\r\nok")
    assert (b":authority", b"app") in seen.asked


async def test_large_bodies_keep_their_pace(net: Net) -> None:
    body = bytes(range(256)) * 8192

    async def echo(peer: Peer, request: Request) -> None:
        number = request.stream_id
        peer.h2.send_headers(number, [(b":status", b"200")])
        ended = False
        while not ended:
            event = await peer.next(h2.events.Event)
            ended = isinstance(event, h2.events.StreamEnded)
            data = event.data if isinstance(event, h2.events.DataReceived) else b""
            while data:
                while not (room := min(peer.h2.local_flow_control_window(number), 16384)):
                    await peer.next(h2.events.WindowUpdated)
                peer.h2.send_data(number, data[:room])
                data = data[room:]
                await peer.flush()
        peer.h2.end_stream(number)

    app = await app_that_speaks(net, HTTP2, serving(echo))
    client = await net.connect(app)
    head = b"POST / HTTP/1.1\r\nHost: app\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.send_all, head + body)
        answer = await read_all(client)
    chunks = answer.partition(b"\r\n\r\n")[2]
    got = b""
    while chunks:
        size, _, chunks = chunks.partition(b"\r\n")
        got, chunks = got + chunks[: int(size, 16)], chunks[int(size, 16) + 2 :]
    assert got == body


async def test_a_reset_before_the_answer_is_told_to_http1(net: Net) -> None:
    async def reset(peer: Peer, request: Request) -> None:
        peer.h2.reset_stream(request.stream_id, 2)

    app = await app_that_speaks(net, HTTP2, serving(reset))
    client = await net.connect(app)
    answer = await ask(client, b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 0\r\n\r\n", b"")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert (await net.records.next()).flag is Flag.UPSTREAM_CONNECTION_TERMINATION


@pytest.mark.parametrize("told", [b"", b"10"])
async def test_an_answer_that_http2_cuts_short_looks_cut_to_http1(net: Net, told: bytes) -> None:
    """By a reset, and by an end that comes before the declared length."""

    async def cut(peer: Peer, request: Request) -> None:
        length = [(b"content-length", told)] if told else []
        peer.h2.send_headers(request.stream_id, [(b":status", b"200"), *length])
        peer.h2.send_data(request.stream_id, b"only this", end_stream=bool(told))
        await peer.flush()
        if not told:
            peer.h2.reset_stream(request.stream_id, 2)

    app = await app_that_speaks(net, HTTP2, serving(cut))
    client = await net.connect(app)
    await client.send_all(GET)
    with pytest.raises(trio.BrokenResourceError):
        await read_all(client)
    assert (await net.records.next()).flag in (Flag.UPSTREAM_CONNECTION_TERMINATION, Flag.UPSTREAM_PROTOCOL_ERROR)


async def test_http1_that_leaves_takes_its_stream_back(net: Net) -> None:
    asked, cancelled = trio.Event(), trio.Event()

    async def wait(peer: Peer, request: Request) -> None:
        asked.set()
        assert (await peer.next(h2.events.StreamReset)).error_code == 8
        cancelled.set()

    app = await app_that_speaks(net, HTTP2, serving(wait))
    client = await net.connect(app)
    await client.send_all(GET)
    with trio.fail_after(5):
        await asked.wait()
        await client.aclose()
        await cancelled.wait()
    assert (await net.records.next()).flag is Flag.DOWNSTREAM_CONNECTION_TERMINATION


async def test_an_application_that_cannot_speak_http2_is_said_to(net: Net) -> None:
    app = await app_that_speaks(net, HTTP2, answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))
    client = await net.connect(app)
    assert b" 502 " in await ask(client, b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 0\r\n\r\n", b"(UPE)")


async def test_http2_asks_http1(net: Net) -> None:
    heads: list[bytes] = []
    app = await app_that_speaks(
        net,
        HTTP1,
        answering(b"HTTP/1.1 200 OK\r\nConnection: X\r\nX: 1\r\nContent-Length: 2\r\nY: 2\r\n\r\nok", heads),
    )
    client = Peer(await net.connect(app), client=True)
    client.ask((b"cookie", b"a=1"), (b"x-mine", b"1"), (b"cookie", b"b=2"), path=b"/a?b")
    await client.flush()
    head, body, _ = await client.answer()
    assert (head[b":status"], body, head[b"y"]) == (b"200", b"ok", b"2")
    assert not head.keys() & {b"connection", b"x", b"transfer-encoding"}
    assert heads[0].startswith(b"GET /a?b HTTP/1.1\r\nhost: app:8080\r\n")
    assert {name: value for name, value in fields(heads[0]) if not name.startswith(b"x-")} == {
        b"host": b"app:8080",
        b"cookie": b"a=1; b=2",
    }
    assert (b"x-mine", b"1") in fields(heads[0])
    assert (await net.records.next()).http_version == 20


async def test_a_body_of_http2_has_a_length_or_chunks_in_http1(net: Net) -> None:
    got: list[bytes] = []

    async def handle(stream: trio.SocketStream) -> None:
        while True:
            data = await read_until(stream, b"\r\n\r\n")
            if b"content-length" not in data:
                data += b"" if data.endswith(b"0\r\n\r\n") else await read_until(stream, b"0\r\n\r\n")
            got.append(data)
            await stream.send_all(OK)

    app = await app_that_speaks(net, HTTP1, handle)
    client = Peer(await net.connect(app), client=True)
    client.ask(method=b"POST")
    await client.flush()
    await client.answer()
    number = client.ask(method=b"POST", end=False)
    client.h2.send_data(number, b"hello", end_stream=True)
    await client.flush()
    await client.answer()
    assert [(b"content-length", b"%d" % size) in fields(each) for each, size in zip(got, (0, 5), strict=True)]
    assert got[1].endswith(b"\r\n\r\nhello")
    number = client.ask(method=b"POST", end=False)
    client.h2.send_data(number, b"hello")
    await client.flush()
    await trio.testing.wait_all_tasks_blocked(0.01)
    client.h2.send_data(number, b", you")
    client.h2.send_headers(number, [(b"x-sum", b"42")], end_stream=True)
    await client.flush()
    await client.answer()
    assert (b"transfer-encoding", b"chunked") in fields(got[2])
    assert got[2].endswith(b"\r\n\r\n5\r\nhello\r\n5\r\n, you\r\n0\r\n\r\n")  # its trailers stay behind


async def test_trailers_of_http1_reach_http2(net: Net) -> None:
    heads: list[bytes] = []
    answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\nConnection: x\r\n\r\n"
    )
    app = await app_that_speaks(net, HTTP1, answering(answer, heads))
    client = Peer(await net.connect(app), client=True)
    client.ask((b"te", b"trailers"))
    await client.flush()
    head, body, trailers = await client.answer()
    assert (head[b":status"], body, trailers) == (b"200", b"ok", {b"x-sum": b"42"})
    assert {(b"te", b"trailers"), (b"connection", b"te")} <= set(fields(heads[0]))


@pytest.mark.parametrize(
    ("method", "status", "length"), [(b"HEAD", b"200", b"5000"), (b"GET", b"304", b"5000"), (b"GET", b"204", b"")]
)
async def test_http1_answers_without_a_body(net: Net, method: bytes, status: bytes, length: bytes) -> None:
    told = b"Content-Length: " + length + b"\r\n" if length else b""
    app = await app_that_speaks(net, HTTP1, answering(b"HTTP/1.1 " + status + b" So\r\n" + told + b"\r\n"))
    client = Peer(await net.connect(app), client=True)
    client.ask(method=method)
    await client.flush()
    head, body, _ = await client.answer()
    assert (head[b":status"], body, head.get(b"content-length", b"")) == (status, b"", length)


async def test_interim_answers_reach_http2(net: Net) -> None:
    async def handle(stream: trio.SocketStream) -> None:
        head = await read_until(stream, b"\r\n\r\n")
        assert b"expect: 100-continue" in head
        await stream.send_all(b"HTTP/1.1 103 Early Hints\r\nLink: </x.css>\r\nConnection: x\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 100 Continue\r\n\r\n")
        await read_until(stream, b"body")
        await stream.send_all(OK)

    app = await app_that_speaks(net, HTTP1, handle)
    client = Peer(await net.connect(app), client=True)
    number = client.ask((b"expect", b"100-continue"), (b"content-length", b"4"), method=b"POST", end=False)
    await client.flush()
    hint = await client.next(h2.events.InformationalResponseReceived)
    assert hint.headers == [(b":status", b"103"), (b"link", b"</x.css>")]
    go_on = await client.next(h2.events.InformationalResponseReceived)
    assert go_on.headers == [(b":status", b"100")]
    client.h2.send_data(number, b"body", end_stream=True)
    await client.flush()
    assert (await client.answer())[1] == b"ok"


@pytest.mark.parametrize(
    ("head", "whole"),
    [(b"Content-Length: 20", False), (b"Transfer-Encoding: chunked", False), (b"X: until-close", True)],
)
async def test_only_an_answer_that_ended_looks_ended_to_http2(net: Net, head: bytes, whole: bool) -> None:
    async def cut(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n9\r\nonly this")
        await stream.aclose()

    app = await app_that_speaks(net, HTTP1, cut)
    client = Peer(await net.connect(app), client=True)
    client.ask(method=b"POST")
    await client.flush()
    await client.next(h2.events.StreamEnded if whole else h2.events.StreamReset)
    flag = (await net.records.next()).flag
    assert flag is (Flag.NONE if whole else Flag.UPSTREAM_CONNECTION_TERMINATION)


async def test_streams_become_connections_and_a_reset_closes_its_own(net: Net) -> None:
    ends: dict[bytes, trio.Event] = {b"/1": trio.Event(), b"/2": trio.Event()}
    both, answer_second = trio.Event(), trio.Event()
    asked: list[bytes] = []

    async def handle(stream: trio.SocketStream) -> None:
        path = (await read_until(stream, b"\r\n\r\n")).split(b" ")[1]
        asked.append(path)
        if len(asked) == 2:
            both.set()
        if path == b"/1":
            assert await stream.receive_some() == b""
        else:
            await answer_second.wait()
            await stream.send_all(OK)
        ends[path].set()

    app = await app_that_speaks(net, HTTP1, handle)
    client = Peer(await net.connect(app), client=True)
    first = client.ask(path=b"/1")
    client.ask(path=b"/2")
    await client.flush()
    with trio.fail_after(5):
        await both.wait()
        client.h2.reset_stream(first, 8)
        await client.flush()
        await ends[b"/1"].wait()
        answer_second.set()
        assert (await client.answer())[1] == b"ok"


async def test_the_same_client_speaks_both_to_an_application_that_does(net: Net) -> None:
    """Without a policy the application is spoken to as its clients speak, on one port."""
    spoken: list[str] = []

    async def either(stream: trio.SocketStream) -> None:
        first = await stream.receive_some(4)
        spoken.append("HTTP/2" if first == b"PRI " else "HTTP/1")
        if first != b"PRI ":
            await read_until(stream, b"\r\n\r\n")
            await stream.send_all(OK)
            return

        class Replayed:
            async def receive_some(self) -> bytes:
                nonlocal first
                data, first = first, b""
                return data or await stream.receive_some()

            send_all = stream.send_all

        await serving(Seen())(Replayed())  # type: ignore[arg-type]

    app = await app_that_speaks(net, H2Upgrade.AS_CLIENT, either)
    assert b"ok" in await ask(await net.connect(app), GET)
    client = Peer(await net.connect(app), client=True)
    client.ask()
    await client.flush()
    assert (await client.answer())[1] == b"ok"
    assert set(spoken) == {"HTTP/1", "HTTP/2"}


async def test_curl_in_http1_and_nghttpd(net: Net, tmp_path: Path, programs: Callable[..., None]) -> None:
    programs("nghttpd", "curl")
    (tmp_path / "big").write_bytes(bytes(range(256)) * 8000)
    call_in(net, HTTP2)
    app = net.add("app")
    address = app.addresses[0]
    net.listening[address] |= {PORT}
    host, port = net.way_to(address)
    serve = ["nghttpd", "--no-tls", "-a", address, "-d", str(tmp_path), str(PORT)]
    command = ["curl", "--silent", "--show-error", "--http1.1", "--retry", "5", "--retry-all-errors"]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.run_process, serve)
        done = await trio.run_process([*command, f"http://{host}:{port}/big"], capture_stdout=True)
        nursery.cancel_scope.cancel()
    assert done.stdout == (tmp_path / "big").read_bytes()
