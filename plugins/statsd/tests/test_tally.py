"""What is counted between two reports."""

from __future__ import annotations

import random
from typing import get_args

import pytest

from composemesh.testing import hostile_records, make_peer, make_record
from composemesh_statsd.config import Label
from composemesh_statsd.lines import Tagged
from composemesh_statsd.tally import LABELS, MOST_SERIES, MOST_TIMINGS, Tally
from plugins.statsd.tests.receiver import Metric, parse


def report(tally: Tally, *by: str) -> list[Metric]:
    return [parse(line) for line in tally.lines(Tagged("m", by))]


def test_every_label_can_be_configured() -> None:
    assert set(get_args(Label)) == set(LABELS)


def test_counters_are_added_up_by_label_set() -> None:
    tally = Tally(("destination", "code"))
    for code in (200, 200, 503):
        tally.add(make_record(code=code))
    told = {(metric.name, metric.tags[1][1]): metric for metric in report(tally, "destination", "code")}
    assert told["m.requests", "200"].value == 2
    assert told["m.requests", "503"].value == 1
    assert told["m.request_bytes", "200"].value == 24
    assert told["m.response_bytes", "200"].value == 750
    assert told["m.requests", "200"].tags == (("destination", "reviews"), ("code", "200"))
    assert told["m.requests", "200"].kind == "c"


def test_durations_are_told_one_by_one_and_the_slowest_as_a_gauge() -> None:
    tally = Tally(())
    for duration in (0.001, 0.0125, 3.0):
        tally.add(make_record(duration=duration))
    told = report(tally)
    assert [metric.value for metric in told if metric.kind == "ms"] == [1, 12.5, 3000]
    assert [(metric.name, metric.value) for metric in told if metric.kind == "g"] == [("m.slowest", 3000)]


def test_of_many_durations_a_fair_sample_is_told_with_its_rate() -> None:
    tally = Tally((), random.Random(1).random)
    count = 40 * MOST_TIMINGS
    for number in range(count):
        tally.add(make_record(duration=number / 1000))
    timings = [metric for metric in report(tally) if metric.kind == "ms"]
    assert len(timings) == MOST_TIMINGS
    assert {metric.rate for metric in timings} == {1 / 40}
    mean = sum(metric.value for metric in timings) / len(timings)
    assert mean == pytest.approx(count / 2, rel=0.25), "from the whole interval, not from its beginning"


def test_callers_cannot_make_it_grow_without_bound() -> None:
    tally = Tally(("path",))
    for number in range(3 * MOST_SERIES):
        tally.add(make_record(f"/{number}?secret=1"))
    assert len(tally) == MOST_SERIES + 1
    told = {metric.tags[0][1]: metric.value for metric in report(tally, "path") if metric.name == "m.requests"}
    assert told["other"] == 2 * MOST_SERIES
    assert told["/7"] == 1, "without its query"
    assert sum(told.values()) == tally.records == 3 * MOST_SERIES


def test_hostile_records_are_told_in_sound_lines() -> None:
    tally = Tally(tuple(LABELS))
    for record in hostile_records():
        tally.add(record)
    assert report(tally, *LABELS)


def test_peers_that_the_mesh_has_replaced_are_the_same_series() -> None:
    tally = Tally(("source", "destination", "version"))
    for _ in range(2):
        tally.add(make_record(destination=make_peer("reviews", "v2")))
    assert len(tally) == 1
