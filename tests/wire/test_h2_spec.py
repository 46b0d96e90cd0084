"""h2spec's cases, whole and byte by byte, and those that are a conversation rather than a row of a table."""

from __future__ import annotations

import pytest

from composemesh.proxy.codec.h2.frames import PREFACE
from wire.conversation import bytewise
from wire.h2.cases import CASES, PROTOCOL_ERROR, Case, Ends, Lives, Resets, Served
from wire.h2.raw import (
    ACK,
    BODY,
    DATA,
    GOAWAY,
    PING,
    SETTINGS,
    Server,
    frame,
    headers,
    settings,
    window_update,
)


def _judge(server: Server, case: Case) -> None:
    outcome = case.outcome
    if isinstance(outcome, Served):
        assert server.answered(outcome.stream)
        assert server.goaway() is None
    elif isinstance(outcome, Lives):
        assert server.goaway() is None
        server.hear(headers(99))
        assert server.answered(99)
    elif isinstance(outcome, Ends):
        assert server.goaway() in outcome.codes
    elif server.goaway() is None:
        assert isinstance(outcome, Resets)
        assert server.resets()[outcome.stream] in outcome.codes
        if outcome.stream < 99:
            server.hear(headers(99))
            assert server.answered(99), "an error of one stream only"
    else:
        assert server.goaway() in outcome.codes


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.section}: {case.title}")
def test_whole(case: Case) -> None:
    # Half-closed, open and idle streams are only met as long as nobody has answered.
    server = Server(answers="half-closed" not in case.title)
    server.hear(case.sent)
    server.answers = True
    server.hear(b"")
    _judge(server, case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.section}: {case.title}")
def test_byte_by_byte(case: Case) -> None:
    server = Server(answers="half-closed" not in case.title)
    for piece in bytewise(case.sent):
        server.hear(piece)
    server.answers = True
    server.hear(b"")
    _judge(server, case)


def test_3_4_our_settings_come_first() -> None:
    server = Server(greet=False)
    kind, flags, stream, _ = server.hear(b"")[0]
    assert (kind, flags, stream) == (SETTINGS, 0, 0)


@pytest.mark.parametrize(
    "first", [b"INVALID CONNECTION PREFACE\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", PREFACE[:-1] + b"x"]
)
def test_3_4_another_preface(first: bytes) -> None:
    server = Server(greet=False)
    server.hear(first)
    assert server.goaway() == PROTOCOL_ERROR


@pytest.mark.parametrize("first", [headers(1), frame(PING, 0, 0, bytes(8)), settings(flags=ACK), window_update(0, 1)])
def test_3_4_something_before_settings(first: bytes) -> None:
    server = Server(greet=False)
    server.hear(PREFACE + first)
    assert server.goaway() == PROTOCOL_ERROR


def test_6_5_3_settings_are_acknowledged_at_once() -> None:
    assert Server().hear(settings((4, 100), (4, 1))) == [(SETTINGS, ACK, 0, b"")]


def test_6_5_3_the_last_of_several_values_counts() -> None:
    server = Server()
    server.hear(settings((4, 100), (4, 1)) + headers(1))
    assert server.bodies(1) == BODY[:1]


def test_6_7_a_ping_comes_back() -> None:
    assert Server().hear(frame(PING, 0, 0, b"h2spec!!")) == [(PING, ACK, 0, b"h2spec!!")]


def test_6_7_an_answered_ping_is_not_answered() -> None:
    assert Server().hear(frame(PING, ACK, 0, b"invalid!")) == []


def test_6_9_1_no_more_than_the_window() -> None:
    server = Server()
    server.hear(settings((4, 1)) + headers(1))
    assert [payload for kind, _, _, payload in server.said if kind == DATA] == [BODY[:1]]
    server.hear(window_update(1, 2))
    assert server.bodies(1) == BODY[:3]


def test_6_9_2_a_window_changes_under_a_stream() -> None:
    server = Server()
    server.hear(settings((4, 0)) + headers(1))
    assert server.bodies(1) == b""
    server.hear(settings((4, 1)))
    assert server.bodies(1) == BODY[:1]


def test_6_9_2_a_window_below_zero() -> None:
    server = Server()
    server.hear(settings((4, 3)) + headers(1))
    server.hear(settings((4, 2)))
    server.hear(window_update(1, 1))
    assert server.bodies(1) == BODY[:3], "the window is 0 now, not 1"
    server.hear(window_update(1, 1))
    assert server.bodies(1) == BODY[:4]


def test_8_1_head_has_no_body_of_its_own() -> None:
    server = Server(answers=False)
    server.hear(headers(1, [(b":method", b"HEAD"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a")]))
    assert server.requests[0].end
    server.connection.send_head(1, 200, [(b"content-length", b"8")], end=True)
    assert server.hear(b"")[-1][1] & 1


def test_nothing_follows_the_end() -> None:
    server = Server()
    server.hear(frame(DATA, 0, 0, b"x"))
    said = len(server.said)
    assert server.said[-1][0] == GOAWAY
    assert server.hear(headers(1)) == []
    assert len(server.said) == said
