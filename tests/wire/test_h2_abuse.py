"""Each abuse ends its connection soon and cheaply; heavy use that looks a little like one does not."""

from __future__ import annotations

import tracemalloc

import pytest

from composemesh.proxy.codec.h2 import (
    BodyCame,
    ClientConnection,
    Code,
    Ended,
    RequestOpened,
    ResponseHeadCame,
    ServerConnection,
    StreamReset,
    Trailers,
)
from composemesh.proxy.codec.h2.frames import header, rst_stream, window_update
from wire.h2.abuses import ABUSES
from wire.h2.raw import ACK, BODY, DATA, END_HEADERS, PING, POST, Server, frame, headers, rst, settings


@pytest.mark.parametrize("name", ABUSES)
def test_an_abuse_ends(name: str) -> None:
    server = Server(answers=name != "zero_windows", body=b"x" * 100_000 if name == "dribbled_answers" else BODY)
    sent = 0
    tracemalloc.start()
    try:
        for frames, step in ABUSES[name]():
            server.hear(step)
            sent += frames
            if server.connection.ended or sent > 2000:
                break
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert server.goaway() == Code.ENHANCE_YOUR_CALM
    assert sent <= 1000, "half of what is asked for: the other half may be on its way"
    assert peak < 5_000_000
    assert isinstance(server.events[-1], Ended)


@pytest.mark.parametrize("name", ABUSES)
def test_in_one_piece_it_ends_as_soon(name: str) -> None:
    server = Server()
    steps, whole = ABUSES[name](), b""
    for _ in range(1000):
        whole += next(steps)[1]
        if len(whole) > 4_000_000:
            break
    before = len(server.events)
    server.hear(whole)
    assert server.connection.ended
    assert len(server.events) - before < 1500


@pytest.mark.parametrize(
    ("name", "flood"),
    [
        ("pings", frame(PING, 0, 0, bytes(8))),
        ("settings", settings()),
        ("window updates", window_update(0, 1)),
        ("frames of unknown types", frame(0xFE)),
        ("empty DATA", frame(DATA, 0, 1)),
        ("interim responses", frame(1, END_HEADERS, 1, b"\x08\x03103")),
    ],
)
def test_a_server_cannot_flood_either(name: str, flood: bytes) -> None:
    client = ClientConnection()
    client.receive(settings() + settings(flags=ACK))
    stream = client.send_head(b"GET", b"a", b"/", [], end=True)
    if name == "empty DATA":
        client.receive(frame(1, END_HEADERS, 1, b"\x88"))
    for _ in range(1000):
        events = client.receive(flood)
        if any(isinstance(event, StreamReset) for event in events):
            break
    if name == "interim responses":
        assert client.streams == 0
        assert client.ended is None
    else:
        assert client.ended is not None
        assert client.ended.code == Code.ENHANCE_YOUR_CALM
    assert stream == 1


class Pair:
    """A client and a server of ours, joined. The server answers like a gRPC server: head, message, trailers."""

    def __init__(self) -> None:
        self.client, self.server = ClientConnection(), ServerConnection()
        self.done = self.received = 0
        self.turn()

    def turn(self) -> None:
        """Let both hear what the other has said, until neither has more to say."""
        while True:
            out = self.client.data_to_send()
            for event in self.server.receive(out):
                assert not isinstance(event, Ended | StreamReset), event
                if isinstance(event, BodyCame):
                    self.received += len(event.payload)
                    self.server.acknowledge(event.stream, event.flow)
                if isinstance(event, BodyCame | RequestOpened) and event.end:
                    self.server.send_head(event.stream, 200, [(b"content-type", b"application/grpc")])
                    self.server.send_data(event.stream, b"\0\0\0\0\x03abc")
                    self.server.send_trailers(event.stream, [(b"grpc-status", b"0")])
            back = self.server.data_to_send()
            for event in self.client.receive(back):
                assert not isinstance(event, Ended | StreamReset), event
                if isinstance(event, BodyCame):
                    self.client.acknowledge(event.stream, event.flow)
                if isinstance(event, Trailers) or (isinstance(event, ResponseHeadCame) and event.end):
                    self.done += 1
            if not out and not back:
                return


def test_ten_thousand_requests_with_pings_and_window_updates() -> None:
    # As gRPC's C core speaks: a PING and a window update or two with every message, to measure the bandwidth.
    pair = Pair()
    for n in range(10_000):
        stream = pair.client.send_head(b"POST", b"a", b"/a.A/B", [(b"x-request-id", b"%d" % n)])
        pair.client.send_data(stream, b"\0\0\0\0\x02ab", True)
        pair.client.ping()
        pair.client._out += window_update(0, 7)  # ours has no reason to send one so early
        pair.turn()
    assert pair.done == 10_000


def test_an_upload_in_pieces_of_a_kibibyte() -> None:
    pair = Pair()
    stream = pair.client.send_head(b"POST", b"a", b"/", [])
    for _ in range(20_000):
        assert pair.client.send_data(stream, b"x" * 1024) == 1024
        pair.turn()
    pair.client.end(stream)
    pair.turn()
    assert (pair.done, pair.received) == (1, 20_000 * 1024)


def test_a_stream_of_small_messages() -> None:
    pair = Pair()
    stream = pair.client.send_head(b"POST", b"a", b"/", [])
    for _ in range(10_000):
        pair.client.send_data(stream, b"\0\0\0\0\0")
    pair.client.end(stream)
    pair.turn()
    assert pair.done == 1


def test_a_download_with_two_window_updates_a_frame() -> None:
    server = Server(answers=False)
    server.hear(headers(1))
    server.connection.send_head(1, 200, [])
    for _ in range(5_000):
        assert server.connection.send_data(1, b"x" * 16384) == 16384
        server.hear(window_update(0, 16384) + window_update(1, 16384))
    assert server.connection.ended is None


def test_half_of_all_requests_cancelled() -> None:
    server = Server()
    for stream in range(1, 20_000, 4):
        server.hear(headers(stream))
        server.hear(headers(stream + 2, POST, END_HEADERS) + rst(stream + 2))
    assert server.connection.ended is None
    assert server.bodies(19_997) == BODY


def test_streams_cancelled_when_the_answer_has_begun() -> None:
    # Subscriptions: the client takes messages for a while and leaves.
    server = Server(answers=False)
    for stream in range(1, 1200, 2):
        server.hear(headers(stream))
        server.connection.send_head(stream, 200, [])
        server.connection.send_data(stream, b"\0\0\0\0\x03abc")
        server.hear(rst(stream))
    assert server.connection.ended is None


def test_keep_alive_for_a_month() -> None:
    connection = Server().connection
    now = 1.0
    for _ in range(30 * 24 * 60):
        connection.receive(frame(PING, 0, 0, bytes(8)), now)
        now += 60.0
    assert connection.ended is None


def test_data_on_its_way_to_a_stream_we_reset() -> None:
    server = Server(answers=False)
    server.hear(headers(1, POST, END_HEADERS))
    server.connection.reset(1)
    server.hear(b"")
    for _ in range(1024):
        assert [kind for kind, *_ in server.hear(frame(DATA, 0, 1, b"x" * 1024))] in ([], [8])
    assert server.connection.ended is None
    assert server.connection._window + server.connection._unread == 1 << 24, "the connection's window has come back"


@pytest.mark.parametrize("data", [b"", b"x", b"x" * 100])
def test_data_that_goes_on_after_our_reset(data: bytes) -> None:
    server = Server(answers=False)
    server.hear(headers(1, POST, END_HEADERS))
    server.connection.reset(1)
    for _ in range(1000):
        server.hear(frame(DATA, 0, 1, data))
    assert server.goaway() == Code.ENHANCE_YOUR_CALM


def test_answers_that_come_after_we_gave_up() -> None:
    client = ClientConnection()
    client.receive(settings() + settings(flags=ACK))
    for _ in range(1000):
        stream = client.send_head(b"GET", b"a", b"/", [], end=True)
        client.reset(stream)
        client.receive(frame(1, END_HEADERS, stream, b"\x88") + frame(DATA, 0, stream, b"x") + frame(DATA, 1, stream))
    assert client.ended is None


def test_the_frame_builders_agree() -> None:
    assert rst_stream(1, 8) == rst(1)
    assert header(5, 0, 1, 3) + b"12345" == frame(DATA, 1, 3, b"12345")


def test_settings_of_any_number_are_not_kept() -> None:
    connection = Server().connection
    for first in range(9, 60_000, 1000):
        connection.receive(settings(*((code, 1) for code in range(first, first + 1000))), now=float(first))
    assert connection.ended is None
    assert len(connection._core.remote_settings) <= 8
