"""Windows: exact sums whatever the clock does, quantiles to five per cent, nothing kept of idle time."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from composemesh.telemetry.window import SECONDS, TIERS, Tally, Window, bucket_of


def tell(window: Window, second: int, count: int = 1, duration: float = 0.01, errors: int = 0) -> None:
    tally = window.newest if window.newest.at == second else window.turn(second)
    tally.latencies[bucket_of(duration)] += count
    tally.errors += errors
    tally.sent += 10 * count


def test_a_window_counts_its_seconds_and_no_others() -> None:
    window = Window()
    for second in range(100, 110):
        tell(window, second)
    assert window.over(109.9, 5).requests == 5
    assert window.over(109.9, 60).requests == 10
    assert window.over(112.0, 5).requests == 2
    assert window.over(109.0 + SECONDS, SECONDS).requests == 0


def test_idle_time_keeps_nothing_and_loses_nothing() -> None:
    window = Window()
    tell(window, 10, errors=1)
    tell(window, 10_000_000)
    assert window.over(10_000_000.0, 60).requests == 1
    everything = window.over(10_000_000.0, None)
    assert (everything.requests, everything.errors, everything.sent) == (2, 1, 20)
    assert "slots=[0, 0, 0]" in repr(window)


def test_a_busy_window_keeps_a_bounded_number_of_slots() -> None:
    window = Window()
    for second in range(8000):
        tell(window, second)
    for tier, (step, span) in zip(window._tiers, TIERS, strict=True):
        assert len(tier) <= span // step + 1
    assert window.over(7999.0, None).requests == 8000


@given(
    st.lists(
        st.tuples(st.integers(0, 3) | st.integers(0, 200), st.integers(0, 3), st.floats(0.001, 0.1)),
        min_size=1,
        max_size=60,
    )
)
def test_the_last_minute_is_exact_for_whoever_looks_again_and_again(steps: list[tuple[int, int, float]]) -> None:
    """Looks and traffic in any order: each look is made of the one before."""
    window = Window()
    second = 0
    told: list[tuple[int, float]] = []
    for pause, count, duration in steps:
        second += pause
        if count:
            tell(window, second, count, duration, errors=1)
            told.append((second, duration))
        got = window.over(second + 0.5, SECONDS)
        fresh = [(at, took) for at, took in told if at > second - SECONDS]
        assert got.errors == len(fresh)
        assert set(got.latencies) == {bucket_of(took) for _, took in fresh}
        assert got.sent == 10 * got.requests


def test_who_looks_no_more_costs_nothing() -> None:
    window = Window()
    tell(window, 1)
    window.over(1.0, SECONDS)
    assert window._minute is not None
    for second in range(2, 2 + 2 * SECONDS):
        tell(window, second)
    assert window._minute is None
    assert window.over(1.0 + 2 * SECONDS, SECONDS).requests == SECONDS


@given(st.lists(st.tuples(st.integers(0, 90) | st.integers(0, 3000), st.integers(1, 5)), min_size=1, max_size=60))
def test_sums_are_exact_for_every_history(steps: list[tuple[int, int]]) -> None:
    window = Window()
    second = 0
    told: list[tuple[int, int]] = []
    for pause, count in steps:
        second += pause
        tell(window, second, count, errors=count)
        told.append((second, count))
    now = second + 0.5
    assert window.over(now, None).requests == sum(count for _, count in told)
    assert window.over(now, None).errors == sum(count for _, count in told)
    for seconds in (1, 7, SECONDS):
        assert window.over(now, seconds).requests == sum(count for at, count in told if at > second - seconds)
    # Beyond a minute the older end is rounded outwards, to a whole slot.
    for seconds, slot in ((61, 10), (120, 10), (300, 10), (301, 60), (3600, 60)):
        got = window.over(now, seconds).requests
        assert sum(count for at, count in told if at > second - seconds) <= got
        assert got <= sum(count for at, count in told if at > second - seconds - slot)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_quantiles_are_within_five_per_cent(share: float) -> None:
    chance = random.Random(7)
    durations = sorted(chance.lognormvariate(math.log(0.02), 1.5) for _ in range(4000))
    tally = Tally(0)
    for duration in durations:
        tally.latencies[bucket_of(duration)] += 1
    exact = durations[math.ceil(share * len(durations)) - 1]
    assert tally.quantile(share) == pytest.approx(exact, rel=0.05)


def test_quantiles_of_nothing_and_of_extremes() -> None:
    assert Tally(0).quantile(0.5) is None
    tally = Tally(0)
    for duration in (0.0, -1.0, 1e-9, 1e-6, 86400.0):
        tally.latencies[bucket_of(duration)] += 1
    assert tally.quantile(0.5) == pytest.approx(1e-6, rel=0.05)
    assert tally.quantile(1.0) == pytest.approx(86400, rel=0.05)
