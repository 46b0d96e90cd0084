"""What was received is taken in turns: the same is told as at once, and no turn is long, whatever it is made of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from composemesh.proxy.codec.h2 import Event, RequestOpened, ServerConnection, StreamReset
from composemesh.proxy.codec.h2.budget import FIRST_TURN, PIECES_A_PROOF, PROVEN, SMALL_TURN, TURN, WORK
from composemesh.proxy.codec.h2.frames import PREFACE
from wire.h2.abuses import ABUSES, rapid_reset
from wire.h2.raw import ACK, HEADERS, PING, frame, headers, settings, window_update

HELLO = PREFACE + settings() + settings(flags=ACK)
NOW = 1.0


def said(name: str) -> bytes:
    steps, whole = ABUSES[name](), HELLO
    while len(whole) < 200_000:
        whole += next(steps)[1]
    return whole


def turns(connection: ServerConnection, data: bytes) -> Iterator[list[Event]]:
    yield connection.receive_some(data, NOW)
    while connection.waiting:
        yield connection.receive_some(b"", NOW)


@pytest.mark.parametrize("name", ABUSES)
def test_in_turns_a_flood_is_the_same(name: str) -> None:
    at_once, in_turns = ServerConnection(), ServerConnection()
    told = at_once.receive(said(name), NOW)
    assert [event for turn in turns(in_turns, said(name)) for event in turn] == told
    assert in_turns.data_to_send() == at_once.data_to_send()
    assert in_turns.ended == at_once.ended
    assert at_once.ended


def test_more_may_come_between_turns() -> None:
    whole = said("rapid_reset")
    at_once, in_turns = ServerConnection(), ServerConnection()
    told = at_once.receive(whole, NOW)
    heard = [
        event for at in range(0, len(whole), 1000) for event in in_turns.receive_some(whole[at : at + 1000], NOW)
    ]
    assert in_turns.waiting or in_turns.ended
    assert [*heard, *(event for turn in turns(in_turns, b"") for event in turn)] == told


def begun(turn: list[Event]) -> int:
    return sum(isinstance(event, RequestOpened) for event in turn)


def served(server: ServerConnection, requests: int) -> None:
    """A client that has asked, and has taken what it was answered."""
    for number in range(1, 2 * requests, 2):
        server.receive(headers(number), NOW)
        server.send_head(number, 200, [], True)


def test_a_turn_is_a_burst_of_requests_and_no_more() -> None:
    server = ServerConnection()
    server.receive(HELLO, NOW)
    served(server, PROVEN)
    assert server.proven
    requests = b"".join(headers(1 + 2 * (PROVEN + n)) for n in range(100))
    of_turns = [begun(turn) for turn in turns(server, requests)]
    assert sum(of_turns) == 100
    assert 10 <= of_turns[0] == max(of_turns) <= TURN // WORK[HEADERS] + 1
    assert not server.wasteful


def test_whose_requests_have_come_to_nothing_yet_has_smaller_turns() -> None:
    server = ServerConnection()
    of_turns = [begun(turn) for turn in turns(server, HELLO + b"".join(headers(1 + 2 * n) for n in range(100)))]
    assert of_turns[0] >= 1, "who greets and asks is heard at once"
    assert max(of_turns) <= FIRST_TURN // WORK[HEADERS] + 1
    assert not server.proven


def test_who_wastes_has_small_turns() -> None:
    server = ServerConnection()
    pings = frame(PING, 0, 0, bytes(8))
    server.receive(HELLO, NOW)
    served(server, PROVEN)
    server.receive(100 * pings, NOW)
    assert server.wasteful
    server.data_to_send()
    server.receive_some(200 * pings, NOW)
    assert len(server.data_to_send()) == SMALL_TURN * len(pings)
    server.receive(b"", NOW)
    server.receive(b"", NOW + 2)
    assert not server.wasteful, "time has made up for it"


def test_a_stranger_may_waste_less_than_a_guest() -> None:
    stranger, guest = ServerConnection(), ServerConnection()
    for server in (stranger, guest):
        server.receive(HELLO, NOW)
    assert not stranger.wasteful, "a greeting is no waste"
    served(guest, PROVEN)
    for server in (stranger, guest):
        server.receive(20 * frame(PING, 0, 0, bytes(8)), NOW)
    assert stranger.wasteful
    assert not guest.wasteful


def test_no_turn_ends_between_a_request_and_its_reset() -> None:
    """Who takes a request back in the same breath then costs no server anything."""
    server = ServerConnection()
    steps = rapid_reset()
    flood = b"".join(next(steps)[1] for _ in range(90))
    for turn in turns(server, HELLO + flood):
        begun = [event.stream for event in turn if isinstance(event, RequestOpened)]
        assert begun == [event.stream for event in turn if isinstance(event, StreamReset)]


def test_a_conversation_without_end_comes_to_something_too() -> None:
    """A client of gRPC may have a hundred streams for hours, and none of them done."""
    server = ServerConnection()
    server.receive(HELLO + headers(1), NOW)
    server.send_head(1, 200, [])
    for _ in range(PIECES_A_PROOF * PROVEN - 1):
        server.send_data(1, b"word")
    assert not server.proven
    server.send_data(1, b"word")
    assert server.proven


def test_what_no_window_was_opened_for_comes_to_nothing() -> None:
    server = ServerConnection()
    server.receive(PREFACE + settings((4, 0)) + settings(flags=ACK) + headers(1), NOW)
    server.send_head(1, 200, [])
    for _ in range(2 * PIECES_A_PROOF * PROVEN):
        server.receive(window_update(1, 1), NOW)
        if server.ended:
            break
        server.send_data(1, b"word")
    assert not server.proven
