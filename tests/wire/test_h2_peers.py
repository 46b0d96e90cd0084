"""Our side against h2's own: two readings of one RFC."""

from __future__ import annotations

from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest

from composemesh.proxy.codec.h2 import (
    BodyCame,
    ClientConnection,
    RequestOpened,
    ResponseHeadCame,
    ServerConnection,
    Trailers,
)

BODY = b"0123456789" * 30_000


class Theirs:
    """h2, all its checks on."""

    def __init__(self, client: bool) -> None:
        self.connection = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=client, header_encoding=None)
        )
        self.connection.initiate_connection()

    def receive(self, data: bytes) -> list[h2.events.Event]:
        return self.connection.receive_data(data) if data else []

    def data_to_send(self) -> bytes:
        return self.connection.data_to_send()


def _turn(
    one: Theirs | ClientConnection | ServerConnection, other: Theirs | ClientConnection | ServerConnection
) -> list[Any]:
    return [*other.receive(one.data_to_send())]


@pytest.mark.parametrize("piece", [1, 7, 4096, 100_000])
def test_their_client_our_server(piece: int) -> None:
    theirs, ours = Theirs(client=True), ServerConnection()
    for n in range(20):
        stream = theirs.connection.get_next_available_stream_id()
        fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/%d" % n), (b":authority", b"a:80")]
        theirs.connection.send_headers(
            stream, [*fields, (b"cookie", b"a=b"), (b"x-n", b"%d" % n), (b"te", b"trailers")]
        )
        left, got, answer = BODY[: 40_000 if n else None], b"", b""
        ended = done = False
        while not done:
            while left and (room := min(theirs.connection.local_flow_control_window(stream), 16384)):
                theirs.connection.send_data(stream, left[:room])
                left = left[room:]
            if not left and not ended:
                theirs.connection.send_headers(stream, [(b"x-sum", b"%d" % n)], end_stream=True)
                ended = True
            data = theirs.data_to_send()
            for at in range(0, len(data), max(piece, len(data) // 50)):
                for event in ours.receive(data[at : at + max(piece, len(data) // 50)]):
                    if isinstance(event, RequestOpened):
                        assert (event.head.path, event.head.values[b"x-n"]) == (b"/%d" % n, b"%d" % n)
                    elif isinstance(event, BodyCame):
                        got += event.payload
                        ours.acknowledge(stream, event.flow)
                    elif isinstance(event, Trailers):
                        assert event.fields == [(b"x-sum", b"%d" % n)]
                        ours.send_head(stream, 200, [(b"Content-Type", b"text/plain"), (b"x-n", b"%d" % n)])
                        assert ours.send_data(stream, got[:30_000]) == 30_000
                        ours.send_trailers(stream, [(b"grpc-status", b"0")])
            for event in _turn(ours, theirs):
                if isinstance(event, h2.events.DataReceived):
                    answer += event.data
                    theirs.connection.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, h2.events.TrailersReceived):
                    assert event.headers == [(b"grpc-status", b"0")]
                    done = True
        assert got == BODY[: 40_000 if n else None]
        assert answer == got[:30_000]
    assert ours.ended is None
    assert ours.streams == 0


def test_our_client_their_server() -> None:
    theirs, ours = Theirs(client=False), ClientConnection()
    _turn(ours, theirs)
    _turn(theirs, ours)
    for n in range(20):
        stream = ours.send_head(
            b"POST", b"a:80", b"/%d" % n, [(b"Accept", b"*/*"), (b"Connection", b"close"), (b"x-n", b"%d" % n)]
        )
        sent, got, status, done = 0, b"", 0, False
        while not done:
            if sent < len(BODY):
                sent += ours.send_data(stream, BODY[sent:], True)
            for event in _turn(ours, theirs):
                if isinstance(event, h2.events.RequestReceived):
                    assert dict(event.headers[:4]) == {
                        b":method": b"POST",
                        b":scheme": b"http",
                        b":path": b"/%d" % n,
                        b":authority": b"a:80",
                    }
                    assert event.headers[4:] == [(b"accept", b"*/*"), (b"x-n", b"%d" % n)]
                elif isinstance(event, h2.events.DataReceived):
                    got += event.data
                    theirs.connection.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, h2.events.StreamEnded):
                    theirs.connection.send_headers(stream, [(b":status", b"103"), (b"link", b"</a>")])
                    theirs.connection.send_headers(
                        stream, [(b":status", b"200"), (b"set-cookie", b"a"), (b"set-cookie", b"b")]
                    )
                    theirs.connection.send_data(stream, got[:9999])
                    theirs.connection.send_headers(stream, [(b"grpc-status", b"0")], end_stream=True)
            for event in _turn(theirs, ours):
                if isinstance(event, ResponseHeadCame):
                    status = event.head.status
                    assert event.head.fields == [(b"set-cookie", b"a"), (b"set-cookie", b"b")]
                elif isinstance(event, BodyCame):
                    assert event.payload == BODY[:9999]
                    ours.acknowledge(stream, event.flow)
                elif isinstance(event, Trailers):
                    done = True
        assert (got, status) == (BODY, 200)
    assert ours.ended is None


def test_their_drain_ends_our_client_gently() -> None:
    theirs, ours = Theirs(client=False), ClientConnection()
    _turn(ours, theirs)
    _turn(theirs, ours)
    ours.send_head(b"GET", b"a", b"/", [], True)
    _turn(ours, theirs)
    theirs.connection.send_headers(1, [(b":status", b"200")])
    theirs.connection.close_connection()
    assert [type(event).__name__ for event in _turn(theirs, ours)] == ["ResponseHeadCame", "GoAway"]
    assert ours.streams == 1


def test_a_settled_pair_has_little_to_say() -> None:
    theirs, ours = Theirs(client=True), ServerConnection()
    for _ in range(3):
        _turn(theirs, ours)
        _turn(ours, theirs)
    assert not theirs.data_to_send()
    assert not ours.pending
