"""The hub: counters found again when peers are re-made, caps that hold, and sinks that see every record."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from composemesh.model.flag import Flag
from composemesh.model.peer import UNKNOWN, Peer, PeerKind
from composemesh.model.record import Record
from composemesh.telemetry import hub as module
from composemesh.telemetry.hub import Hub
from unit.telemetry.conftest import Tell


def test_exchanges_are_counted_by_how_they_ended(hub: Hub, peer: Callable[..., Peer], tell: Tell) -> None:
    page, reviews = peer("productpage"), peer("reviews/v2")
    for code in (200, 200, 404, 503):
        tell(page, reviews, code)
    tell(page, reviews, 503, flag=Flag.UPSTREAM_CONNECTION_FAILURE)
    assert {(one.code, one.flag.value): one.requests for one in hub.series} == {
        (200, "-"): 2,
        (404, "-"): 1,
        (503, "-"): 1,
        (503, "UF"): 1,
    }
    (edge,) = hub.edges
    tally = edge.window.over(hub.clock(), 60)
    assert (tally.requests, tally.errors, tally.sent, tally.received) == (5, 2, 500, 50)


@pytest.mark.parametrize(
    ("protocol", "code", "flag", "errors"),
    [
        ("http", 499, Flag.NONE, 0),
        ("http", 500, Flag.NONE, 1),
        ("http", 0, Flag.DOWNSTREAM_CONNECTION_TERMINATION, 1),
        ("http", 101, Flag.NONE, 0),
        ("tcp", 0, Flag.NONE, 0),
        ("tcp", 0, Flag.DOWNSTREAM_CONNECTION_TERMINATION, 0),
        ("tcp", 0, Flag.UPSTREAM_CONNECTION_FAILURE, 1),
    ],
)
def test_what_counts_as_an_error(
    hub: Hub, peer: Callable[..., Peer], tell: Tell, protocol: str, code: int, flag: Flag, errors: int
) -> None:
    tell(peer("a"), peer("b"), code, flag=flag, protocol=protocol)
    (edge,) = hub.edges
    assert edge.window.over(hub.clock(), None).errors == errors


def test_durations_fall_into_istios_buckets(hub: Hub, peer: Callable[..., Peer], tell: Tell) -> None:
    for duration in (0.0, 0.0005, 0.00051, 0.005, 3600.0, 3601.0):
        tell(peer("a"), peer("b"), duration=duration)
    (series,) = hub.series
    counts = series.durations.counts
    assert counts[0] == 2  # le 0.5 ms, the bound included
    assert counts[1] == 1  # le 1 ms
    assert counts[2] == 1  # le 5 ms
    assert counts[-2] == 1  # le an hour
    assert counts[-1] == 1  # beyond
    assert series.durations.total == pytest.approx(7201.00601)


def test_peers_made_again_find_their_old_counters(hub: Hub, peer: Callable[..., Peer], tell: Tell) -> None:
    for _ in range(3):
        tell(peer("a"), peer("b"))
        hub.tcp(peer("a"), peer("b")).opened += 1
    (series,) = hub.series
    (tcp,) = hub.tcp_series
    assert series.requests == 3
    assert tcp.opened == 3


def test_replicas_share_an_edge_but_not_a_series(hub: Hub, peer: Callable[..., Peer], tell: Tell) -> None:
    one, two = peer("b"), peer("b")
    two.workload = "shop-b-2"
    tell(peer("a"), one)
    tell(peer("a"), two)
    assert len(hub.series) == 2
    (edge,) = hub.edges
    assert edge.window.over(hub.clock(), None).requests == 2


def test_replaced_peers_do_not_pile_up(
    hub: Hub, peer: Callable[..., Peer], tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_REMEMBERED", 50)
    for _ in range(500):
        tell(peer("a"), peer("b"))
    assert len(hub._known) <= 50
    (series,) = hub.series
    assert series.requests == 500


def test_a_flood_of_addresses_ends_in_other_and_is_still_counted(
    hub: Hub, peer: Callable[..., Peer], tell: Tell
) -> None:
    caller = peer("a")
    for number in range(module.MOST_EDGES + 200):
        place = peer(f"host-{number}", PeerKind.EXTERNAL, captured=False)
        tell(caller, place, 502)
        tell(caller, place, 503)
    assert len(hub.edges) == module.MOST_EDGES + 1
    assert sum(edge.window.over(hub.clock(), None).errors for edge in hub.edges) == 2 * (module.MOST_EDGES + 200)
    (rest,) = [one for one in hub.series if one.destination.service == "other"]
    assert (rest.source.service, rest.code, rest.requests) == ("other", 500, 400)
    late = hub.tcp(caller, peer("one-more", PeerKind.EXTERNAL, captured=False))
    assert (late.source.service, late.destination.service) == ("other", "other")


def test_a_flood_of_codes_ends_in_other_by_their_class(
    hub: Hub, peer: Callable[..., Peer], tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_SERIES", 50)
    for code in range(200, 600):
        tell(peer("a"), peer("b"), code)
    assert len(hub.series) == 50 + 4
    assert sum(one.requests for one in hub.series) == 400
    assert {one.code: one.requests for one in hub.series if one.source.service == "other"} == {
        200: 50,
        300: 100,
        400: 100,
        500: 100,
    }
    assert sum(edge.window.over(hub.clock(), None).errors for edge in hub.edges) == 100


def test_feeds_get_each_record_while_they_are_there(hub: Hub, peer: Callable[..., Peer], tell: Tell) -> None:
    class Keeper:
        def __init__(self) -> None:
            self.records: list[Record] = []

        def put(self, record: Record) -> None:
            self.records.append(record)

    keeper = Keeper()
    hub.add_feed(keeper)
    hub.add_feed(keeper)
    first = tell(peer("a"), peer("b"))
    hub.remove_feed(keeper)
    tell(peer("a"), peer("b"))
    assert keeper.records == [first]
    assert hub.feeds == ()


def test_telling_is_cheap_enough_for_the_request_path(peer: Callable[..., Peer]) -> None:
    """Measured at 0.7 µs; 3 µs is the budget. The best of several rounds, since the machine is shared."""
    hub = Hub()
    record = Record(peer("a"), peer("b"), "http")
    record.response_code, record.duration = 200, 0.012
    rounds = []
    for _ in range(10):
        began = time.process_time()
        for _ in range(5000):
            hub.tell(record)
        rounds.append((time.process_time() - began) / 5000)
    assert min(rounds) < 3e-6


def test_unknown_callers_are_one_edge(hub: Hub, peer: Callable[..., Peer], tell: Tell) -> None:
    tell(UNKNOWN, peer("a"))
    tell(UNKNOWN, peer("a"))
    (edge,) = hub.edges
    assert edge.source is UNKNOWN
    assert "2" in repr(edge.window.over(hub.clock(), None))
