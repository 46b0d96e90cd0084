"""Windows, resets and the end of connections, as conversations between a client and a server of ours."""

from __future__ import annotations

import pytest

from composemesh.proxy.codec.h2 import (
    BodyCame,
    ClientConnection,
    Code,
    Ended,
    Event,
    GoAway,
    Gone,
    H2Limits,
    PingAnswered,
    RequestOpened,
    ResponseHeadCame,
    ServerConnection,
    SettingsChanged,
    StreamReset,
    Trailers,
    WindowOpened,
)
from composemesh.proxy.codec.h2.frames import HIGHEST_STREAM, PREFACE, window_update
from composemesh.proxy.codec.h2.limits import SERVERS_LIMITS

WINDOW = 1 << 20


class Pair:
    """A client and a server of ours. Who asks for more must acknowledge first."""

    def __init__(self, limits: H2Limits | None = None) -> None:
        self.client = ClientConnection() if limits is None else ClientConnection(limits)
        self.server = ServerConnection() if limits is None else ServerConnection(limits)
        for _ in range(2):
            self.to_server()
            self.to_client()

    def to_server(self) -> list[Event]:
        return self.server.receive(self.client.data_to_send())

    def to_client(self) -> list[Event]:
        return self.client.receive(self.server.data_to_send())

    def open(self, end: bool = False) -> int:
        stream = self.client.send_head(b"POST", b"a", b"/", [], end)
        assert isinstance(self.to_server()[-1], RequestOpened)
        return stream


def test_settings_are_told() -> None:
    client, server = ClientConnection(), ServerConnection(H2Limits(streams=7))
    assert client.room == 100, "until we know better (RFC 9113, 6.5.2)"
    told = client.receive(server.data_to_send())
    assert told == [SettingsChanged(7, True), WindowOpened(0)]
    assert client.room == 7
    assert server.receive(client.data_to_send())[0] == SettingsChanged(100, False)


def test_a_body_waits_for_its_window() -> None:
    pair = Pair()
    stream = pair.open()
    body = b"x" * (WINDOW + 10)
    assert pair.client.window(stream) == WINDOW
    assert pair.client.send_data(stream, body, True) == WINDOW
    assert pair.client.send_data(stream, body[WINDOW:], True) == 0
    came = pair.to_server()
    assert sum(len(event.payload) for event in came if isinstance(event, BodyCame)) == WINDOW
    assert not pair.server.pending, "nothing was read yet"
    for event in came:
        assert isinstance(event, BodyCame)
        assert not event.end
        pair.server.acknowledge(stream, event.flow)
    assert pair.to_client() == [WindowOpened(stream)]
    assert pair.client.send_data(stream, body[WINDOW:], True) == 10
    [rest] = pair.to_server()
    assert rest == BodyCame(stream, b"x" * 10, 10, True)


def test_one_slow_reader_stops_nobody_else() -> None:
    pair = Pair(H2Limits(connection_window=4 * WINDOW))
    slow = [pair.open() for _ in range(3)]
    for stream in slow:
        assert pair.client.send_data(stream, b"x" * 2 * WINDOW) == WINDOW
    pair.to_server()
    quick, sent = pair.open(), 0
    for _ in range(200):
        sent += pair.client.send_data(quick, b"y" * 100_000)
        for event in pair.to_server():
            if isinstance(event, BodyCame):
                pair.server.acknowledge(event.stream, event.flow)
        pair.to_client()
    assert sent == 200 * 100_000


def answered(pair: Pair, body: bytes) -> int:
    """A request, and as much of the answer to it as its server may send; how much that is."""
    stream = pair.open(end=True)
    pair.server.send_head(stream, 200, [])
    return pair.server.send_data(stream, body)


def test_a_hundred_callers_who_stopped_reading_stop_no_other_caller_of_the_server() -> None:
    pair = Pair()
    first = SERVERS_LIMITS.first_window
    assert 100 * first > SERVERS_LIMITS.connection_window
    for _ in range(99):
        assert answered(pair, b"x" * WINDOW) == first
        pair.to_client()
        pair.to_server()
    assert answered(pair, b"y" * first) == first
    [*_, came] = pair.to_client()
    assert isinstance(came, BodyCame)
    assert came.payload.startswith(b"y")


def test_what_is_read_gets_a_larger_window() -> None:
    pair = Pair()
    first = SERVERS_LIMITS.first_window
    body = b"x" * (2 * WINDOW)
    assert answered(pair, body) == first
    came = [event for event in pair.to_client() if isinstance(event, BodyCame)]
    for event in came[: len(came) // 2 - 1]:
        pair.client.acknowledge(event.stream, event.flow)
    pair.to_server()
    assert pair.server.window(1) == 0, "a reader who has stopped by now holds no more than that"
    for event in came[len(came) // 2 - 1 :]:
        pair.client.acknowledge(event.stream, event.flow)
    assert WindowOpened(1) in pair.to_server()
    assert pair.server.window(1) > WINDOW // 2


def test_the_connections_window_bounds_all_streams() -> None:
    pair = Pair(H2Limits(connection_window=WINDOW))
    first, second = pair.open(), pair.open()
    assert pair.client.send_data(first, b"x" * WINDOW) == WINDOW
    assert pair.client.send_data(second, b"y") == 0
    came = [event for event in pair.to_server() if isinstance(event, BodyCame)]
    pair.server.acknowledge(first, sum(event.flow for event in came))
    assert pair.to_client() == [WindowOpened(0)]
    assert pair.client.send_data(second, b"y") == 1


@pytest.mark.parametrize("how", ["reset by the client", "reset by the server", "ended"])
def test_unread_data_of_a_gone_stream_gives_its_window_back(how: str) -> None:
    pair = Pair(H2Limits(connection_window=WINDOW))
    stream = pair.open()
    pair.client.send_data(stream, b"x" * WINDOW, how == "ended")
    came = pair.to_server()
    if how == "reset by the client":
        pair.client.reset(stream)
        pair.to_server()
    elif how == "reset by the server":
        pair.server.reset(stream)
    else:
        pair.server.send_head(stream, 200, [], True)
    pair.to_client()
    assert pair.server.streams == pair.client.streams == 0
    assert pair.client.send_data(pair.open(), b"y" * WINDOW) == WINDOW
    for event in came:
        pair.server.acknowledge(stream, event.flow)  # type: ignore[attr-defined]
    assert not pair.server.pending, "not twice"


def test_nobody_acknowledges_more_than_came() -> None:
    pair = Pair()
    stream = pair.open()
    pair.client.send_data(stream, b"x" * 10)
    pair.to_server()
    pair.server.acknowledge(stream, 10**9)
    assert pair.to_client() == []


def test_more_than_the_window_is_a_violation() -> None:
    pair = Pair()
    stream = pair.open()
    pair.client._streams[stream].outbound_flow_control_window = 10 * WINDOW
    pair.client.send_data(stream, b"x" * (WINDOW + 1))
    last = pair.to_server()[-1]
    assert isinstance(last, StreamReset)
    assert (last.code, last.remote) == (Code.FLOW_CONTROL_ERROR, False)
    assert pair.server.ended is None


def test_a_reset_is_told() -> None:
    pair = Pair()
    stream = pair.open()
    pair.server.reset(stream, Code.INTERNAL_ERROR)
    assert pair.to_client() == [StreamReset(stream, Code.INTERNAL_ERROR, True)]
    pair.client.reset(stream)
    assert not pair.client.pending, "it is gone already"
    for send in (
        lambda: pair.client.send_data(stream, b"x"),
        lambda: pair.client.end(stream),
        lambda: pair.client.send_trailers(stream, []),
        lambda: pair.client.window(stream),
        lambda: pair.server.send_head(stream, 200, []),
    ):
        with pytest.raises(Gone):
            send()


def test_what_crosses_a_reset_on_its_way_is_let_go() -> None:
    pair = Pair()
    stream = pair.open()
    pair.server.reset(stream)
    pair.client.send_data(stream, b"x" * 100)
    pair.client.send_trailers(stream, [(b"x-late", b"1")])
    assert pair.to_server() == []
    assert pair.server.ended is None
    pair.to_client()
    assert pair.open(), "and the header tables still agree"


def test_nothing_can_be_sent_after_the_end() -> None:
    pair = Pair()
    stream = pair.open(end=True)
    with pytest.raises(Gone):
        pair.client.send_data(stream, b"x")


def test_an_answer_before_the_request_has_ended() -> None:
    """RFC 9113, 8.1: answer in full, then ask the client to stop, without an error."""
    pair = Pair()
    stream = pair.open()
    pair.server.send_head(stream, 413, [], True)
    pair.server.reset(stream, Code.NO_ERROR)
    came, reset = pair.to_client()
    assert isinstance(came, ResponseHeadCame)
    assert came.end
    assert reset == StreamReset(stream, Code.NO_ERROR, True)


def test_a_server_drains() -> None:
    pair = Pair()
    stream = pair.open()
    pair.server.goaway()
    assert pair.to_client() == [GoAway(Code.NO_ERROR, stream)]
    assert pair.client.closing
    assert pair.client.room == 0
    with pytest.raises(Gone):
        pair.client.send_head(b"GET", b"a", b"/", [])
    pair.client.send_data(stream, b"still", True)
    assert pair.to_server() == [BodyCame(stream, b"still", 5, True)]
    pair.server.send_head(stream, 200, [])
    pair.server.send_data(stream, b"here")
    pair.server.send_trailers(stream, [(b"grpc-status", b"0")])
    came = pair.to_client()
    assert isinstance(came[0], ResponseHeadCame)
    assert came[1:] == [BodyCame(stream, b"here", 4, False), Trailers(stream, [(b"grpc-status", b"0")])]


def test_a_request_that_crosses_the_goaway_may_be_sent_again() -> None:
    pair = Pair()
    kept = pair.open()
    pair.server.goaway()
    crossed = pair.client.send_head(b"GET", b"a", b"/", [(b"x-in", b"the table")], True)
    assert pair.to_server() == []
    told = pair.to_client()
    assert told[:2] == [GoAway(Code.NO_ERROR, kept), StreamReset(crossed, Code.REFUSED_STREAM, True)]
    assert pair.client.streams == 1


def test_a_warning_comes_first() -> None:
    pair = Pair()
    pair.server.goaway(last=HIGHEST_STREAM)
    stream = pair.client.send_head(b"GET", b"a", b"/", [], True)
    assert isinstance(pair.to_server()[0], RequestOpened)
    pair.server.goaway()
    assert pair.to_client() == [GoAway(Code.NO_ERROR, HIGHEST_STREAM), GoAway(Code.NO_ERROR, stream)]
    assert pair.client.streams == 1


def test_a_violation_ends_every_stream_then_the_connection() -> None:
    pair = Pair()
    stream = pair.open()
    reset, ended = pair.server.receive(window_update(0, 0))
    assert isinstance(reset, StreamReset)
    assert reset.stream == stream
    assert isinstance(ended, Ended)
    assert ended.code == Code.PROTOCOL_ERROR
    assert pair.server.streams == 0
    with pytest.raises(Gone):
        pair.server.send_head(stream, 200, [])
    told = pair.to_client()
    assert told[0] == GoAway(Code.PROTOCOL_ERROR, stream)


def test_a_sign_of_life() -> None:
    pair = Pair()
    pair.client.ping(b"are you?")
    assert pair.to_server() == []
    assert pair.to_client() == [PingAnswered(b"are you?")]


def test_a_frame_in_many_pieces_is_copied_once() -> None:
    pair = Pair()
    stream = pair.open()
    pair.client.send_data(stream, b"x" * 16384)
    data = pair.client.data_to_send()
    for at in range(len(data) - 1):
        assert pair.server.receive(data[at : at + 1]) == []
    assert pair.server.receive(data[-1:]) == [BodyCame(stream, b"x" * 16384, 16384, False)]


def test_the_repr_tells_the_state() -> None:
    pair = Pair()
    pair.open()
    assert repr(pair.server) == "<ServerConnection: open, 1 streams, <Budget: noise 390/400, broken 100/100>>"
    pair.server.goaway()
    assert "draining" in repr(pair.server)
    pair.to_client()
    assert "closing" in repr(pair.client)
    fresh = ServerConnection()
    fresh.receive(b"GET / HTTP/1.1\r\n")
    assert "not the preface" in repr(fresh)
    assert PREFACE.startswith(b"PRI")


def test_what_is_begun_and_not_ended_is_seen() -> None:
    client, server = ClientConnection(), ServerConnection()
    client.send_head(b"GET", b"a", b"/", [(b"x-long", b"y" * 20_000)], True)
    data = client.data_to_send()
    seen = []
    for at in range(len(data)):
        server.receive(data[at : at + 1])
        seen.append(server.unfinished)
    first = len(PREFACE) + 9 + int.from_bytes(data[len(PREFACE) :][:3], "big")
    assert all(seen[: first - 1])
    assert not seen[first - 1]
    assert not seen[-1]
    assert all(seen[-20_000:-1]), "also between HEADERS and CONTINUATION"
