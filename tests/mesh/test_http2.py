"""HTTP/2 with prior knowledge through two sidecars in one: real clients and servers, and our own codec as both."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import h2.events
import pytest
import trio

from composemesh.model.flag import Flag
from composemesh.model.record import LONGEST_TEXT
from composemesh.model.snapshot import Protocol
from composemesh.proxy import multiplex
from mesh.http2 import Peer, serving
from mesh.net import PORT, Net
from wire.h2.raw import rst


async def serve_paths(stream: trio.SocketStream) -> None:
    """An application: answers each request with its path; `/slow…` not until another request has come."""
    peer = Peer(stream, client=False)
    await peer.flush()
    slow: list[int] = []
    while True:
        try:
            event = await peer.next(h2.events.RequestReceived)
        except (AssertionError, trio.TooSlowError):
            return
        path = dict(event.headers)[b":path"]
        if path.startswith(b"/slow"):
            slow.append(event.stream_id)
            continue
        for number in (event.stream_id, *slow):
            peer.h2.send_headers(number, [(b":status", b"200")])
            peer.h2.send_data(number, path, end_stream=True)
        slow.clear()
        await peer.flush()


async def test_streams_do_not_wait_for_one_another(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, serve_paths)
    client = Peer(await net.connect(app), client=True)
    first = client.request(b"/slow")
    await client.flush()
    await trio.sleep(0.05)
    second = client.request(b"/quick")
    await client.flush()
    ended = {(await client.next(h2.events.StreamEnded)).stream_id for _ in range(2)}
    assert ended == {first, second}
    records = [await net.records.next(number) for number in (1, 2)]
    assert {record.path for record in records} == {"/slow", "/quick"}
    assert {(record.response_code, record.protocol, record.flag) for record in records} == {(200, "http", Flag.NONE)}
    assert net.fleet.planner.spoken["app"].protocol(PORT) is Protocol.HTTP


async def test_one_connection_to_the_endpoint_serves_many_callers(net: Net) -> None:
    app = net.add("app")
    connections = 0

    async def count(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        await serve_paths(stream)

    await net.serve(app, count)
    for _ in range(5):
        client = Peer(await net.connect(app), client=True)
        for number in range(5):
            client.request(b"/%d" % number)
        await client.flush()
        for _ in range(5):
            await client.next(h2.events.StreamEnded)
    assert connections <= 2  # the first one was dialled before it was known what the client speaks


async def test_who_goes_on_asking_an_endpoint_that_has_left_is_answered(net: Net) -> None:
    """Its pools are closed then: a connection that is made for one exchange ends with it, and not before."""
    app = net.add("app")
    closed = trio.Event()

    async def tell(stream: trio.SocketStream) -> None:
        await serve_paths(stream)
        closed.set()

    await net.serve(app, tell)
    client = Peer(await net.connect(app), client=True)
    net.fleet.planner.endpoints[app.life].pools.close()
    for _ in range(2):
        client.request(b"/")
        await client.flush()
        await client.next(h2.events.StreamEnded)
    with trio.fail_after(5):
        await closed.wait()


async def test_nobody_there_is_said_on_the_stream_and_the_connection_lives(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, serve_paths)
    client = Peer(await net.connect(app), client=True)
    client.request(b"/")
    await client.flush()
    await client.next(h2.events.StreamEnded)
    net.remove(app)
    for _ in range(2):
        client.request(b"/")
        await client.flush()
        answer = dict((await client.next(h2.events.ResponseReceived)).headers)
        assert answer[b":status"] == b"503"
        assert answer[b"x-composemesh-flag"] == b"UH"
        await client.next(h2.events.StreamEnded)


async def test_a_reset_by_the_client_reaches_the_application(net: Net) -> None:
    app = net.add("app")
    cancelled = trio.Event()

    async def wait_for_reset(stream: trio.SocketStream) -> None:
        peer = Peer(stream, client=False)
        await peer.flush()
        await peer.next(h2.events.RequestReceived)
        await peer.next(h2.events.StreamReset)
        cancelled.set()

    await net.serve(app, wait_for_reset)
    client = Peer(await net.connect(app), client=True)
    number = client.request(b"/")
    await client.flush()
    await trio.sleep(0.05)
    client.h2.reset_stream(number, 8)
    await client.flush()
    with trio.fail_after(2):
        await cancelled.wait()
    assert (await net.records.next()).flag is Flag.DOWNSTREAM_CONNECTION_TERMINATION


async def test_who_has_the_answer_and_says_no_more_has_not_given_up(net: Net) -> None:
    """As clients of gRPC do: the answer came before the request was complete, and they reset what is left of it."""
    app = net.add("app")

    async def refuse(peer: Peer, event: h2.events.RequestReceived) -> None:
        peer.h2.send_headers(event.stream_id, [(b":status", b"400")], end_stream=True)

    await net.serve(app, serving(refuse))
    client = Peer(await net.connect(app), client=True)
    assert isinstance(client.stream, trio.SocketStream)
    number = client.stream.socket.detach()  # a thread answers sooner than a task that takes turns with the proxy
    uploads = 300

    def reset_each() -> None:
        with socket.socket(fileno=number) as wire:
            wire.setblocking(True)
            for stream in range(1, 2 * uploads, 2):
                client.request(b"/", b"POST", end=False)
                wire.sendall(client.h2.data_to_send())
                ended = False
                while not ended:
                    events = client.h2.receive_data(wire.recv(65536))
                    ended = any(isinstance(event, h2.events.StreamEnded) for event in events)
                wire.sendall(rst(stream) + client.h2.data_to_send())

    await trio.to_thread.run_sync(reset_each)
    await net.records.next(uploads)
    assert {(record.response_code, record.flag) for record in net.records.all} == {(400, Flag.NONE)}


async def test_what_is_taken_back_in_the_same_breath_reaches_no_application(net: Net) -> None:
    app = net.add("app")
    asked: list[bytes] = []

    async def note(stream: trio.SocketStream) -> None:
        peer = Peer(stream, client=False)
        await peer.flush()
        while True:
            event = await peer.next(h2.events.RequestReceived)
            asked.append(dict(event.headers)[b":path"])
            peer.h2.send_headers(event.stream_id, [(b":status", b"200")], end_stream=True)
            await peer.flush()

    await net.serve(app, note)
    client = Peer(await net.connect(app), client=True)
    client.h2.reset_stream(client.request(b"/never-mind"), 8)
    client.request(b"/page")
    await client.flush()
    await client.next(h2.events.StreamEnded)
    assert asked == [b"/page"]
    records = [await net.records.next(number) for number in (1, 2)]
    assert {(record.path, record.response_code, record.flag) for record in records} == {
        ("/never-mind", 0, Flag.DOWNSTREAM_CONNECTION_TERMINATION),
        ("/page", 200, Flag.NONE),
    }
    assert net.fleet.planner.endpoints[app.life].active == 0
    await client.stream.aclose()


async def test_a_hundred_exchanges_end_with_their_client(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, serve_paths)
    client = Peer(await net.connect(app), client=True)
    for n in range(100):
        client.request(b"/slow/%d" % n)
    await client.flush()
    with trio.fail_after(5):
        while net.fleet.planner.endpoints[app.life].active < 100:  # noqa: ASYNC110 - no event
            await trio.sleep(0.01)
    await client.stream.aclose()
    records = [await net.records.next(number) for number in range(1, 101)]
    assert {record.flag for record in records} == {Flag.DOWNSTREAM_CONNECTION_TERMINATION}
    assert net.fleet.planner.endpoints[app.life].active == 0


async def test_a_reset_by_the_application_after_its_head_is_a_reset_for_the_client(net: Net) -> None:
    app = net.add("app")

    async def cut(stream: trio.SocketStream) -> None:
        peer = Peer(stream, client=False)
        await peer.flush()
        event = await peer.next(h2.events.RequestReceived)
        peer.h2.send_headers(event.stream_id, [(b":status", b"200")])
        peer.h2.send_data(event.stream_id, b"only this")
        await peer.flush()
        await trio.sleep(0.05)
        peer.h2.reset_stream(event.stream_id, 2)
        await peer.flush()
        await stream.receive_some()

    await net.serve(app, cut)
    client = Peer(await net.connect(app), client=True)
    client.request(b"/")
    await client.flush()
    await client.next(h2.events.StreamReset)
    assert (await net.records.next()).flag is Flag.UPSTREAM_CONNECTION_TERMINATION


async def test_draining_says_goaway_and_lets_streams_end(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, serve_paths)
    client = Peer(await net.connect(app), client=True)
    client.request(b"/slow")
    await client.flush()
    await trio.sleep(0.05)
    other = Peer(await net.connect(app), client=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(net.fleet.drain)
        await client.next(h2.events.ConnectionTerminated)
        await trio.sleep(0.05)
        assert net.fleet.planner.endpoints[app.life].active == 1
        nursery.cancel_scope.cancel()
    await other.stream.aclose()


async def test_a_malformed_request_is_reset_and_recorded_and_the_connection_lives(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, serve_paths)
    client = Peer(await net.connect(app), client=True)
    client.h2.config.validate_outbound_headers = client.h2.config.normalize_outbound_headers = False
    number = client.h2.get_next_available_stream_id()
    head = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/a b"), (b":authority", b"app")]
    client.h2.send_headers(number, head, end_stream=True)
    await client.flush()
    await client.next(h2.events.StreamReset)
    assert (await net.records.next()).flag is Flag.DOWNSTREAM_PROTOCOL_ERROR
    client.request(b"/")
    await client.flush()
    await client.next(h2.events.StreamEnded)


async def test_half_a_frame_is_waited_for_only_so_long(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    assert multiplex.UNFINISHED == 10
    monkeypatch.setattr(multiplex, "UNFINISHED", 0.3)
    app = net.add("app")
    await net.serve(app, serve_paths)
    client = Peer(await net.connect(app), client=True)
    client.request(b"/")
    await client.flush()
    await client.next(h2.events.StreamEnded)
    await client.stream.send_all(b"\x00\x00\x20\x01")
    with trio.fail_after(2):
        while await client.stream.receive_some():
            pass


async def test_a_silent_endpoint_is_asked_for_a_sign_of_life(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiplex, "SILENCE", 0.2)
    monkeypatch.setattr(multiplex, "NO_ANSWER", 0.5)
    app = net.add("app")

    async def freeze(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await trio.sleep_forever()

    await net.serve(app, freeze)
    client = Peer(await net.connect(app), client=True)
    client.request(b"/", b"POST")
    await client.flush()
    answer = dict((await client.next(h2.events.ResponseReceived)).headers)
    assert answer[b"x-composemesh-flag"] == b"UC"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("hello\n")
    (tmp_path / "big").write_bytes(bytes(range(256)) * 8000)
    return tmp_path


@pytest.fixture
def real_server(net: Net, root: Path, programs: Callable[..., None]) -> Iterator[str]:
    """nghttpd, in clear, as the application of a workload; its address."""
    programs("nghttpd", "curl")
    app = net.add("app")
    address = app.addresses[0]
    server = subprocess.Popen(["nghttpd", "--no-tls", "-a", address, "-d", str(root), str(PORT)])
    net.listening[address] |= {PORT}
    yield address
    server.terminate()
    server.wait()


async def test_curl_and_nghttpd_through_the_mesh(net: Net, real_server: str, root: Path) -> None:
    host, port = net.way_to(real_server)
    command = ("curl", "--silent", "--show-error", "--http2-prior-knowledge", "--retry", "5", "--retry-all-errors")
    for name in ("index.html", "big"):
        done = await trio.run_process([*command, f"http://{host}:{port}/{name}"], capture_stdout=True)
        assert done.stdout == (root / name).read_bytes()
    record = next(record for record in net.records.all if record.path == "/big")
    assert record.bytes_sent == 2_048_000


async def test_what_is_kept_of_a_request_is_bounded(net: Net) -> None:
    """Records wait for sinks by the thousand."""
    app = net.add("app")
    await net.serve(app, serve_paths)
    client = Peer(await net.connect(app), client=True)
    long = b"x" * 5000
    client.ask((b"user-agent", long), (b"traceparent", long), method=long, path=b"/" + long)
    await client.flush()
    await client.answer()
    record = await net.records.next()
    texts = (record.method, record.path, record.user_agent, record.traceparent)
    assert {len(text) for text in texts} == {LONGEST_TEXT}
