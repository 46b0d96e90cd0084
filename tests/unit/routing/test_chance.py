"""Chance that comes out exact: shares, their independence, and that nobody begins in the same place."""

from __future__ import annotations

import itertools

import pytest

from composemesh.routing.chance import ABORT, DELAY, MIRROR, SPLIT, Chance

PURPOSES = [SPLIT, DELAY, ABORT, MIRROR, MIRROR + 1, MIRROR + 5]


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("percent", [0.0, 0.1, 1.0, 10.0, 33.3, 50.0, 99.9, 100.0])
def test_shares_are_exact_to_a_few_of_ten_thousand(purpose: int, percent: float) -> None:
    chance = Chance(purpose)
    hits = sum(chance.hits(percent) for _ in range(10_000))
    assert abs(hits - 100 * percent) <= 12


@pytest.mark.parametrize("purpose", PURPOSES)
def test_every_stretch_is_as_even_as_the_whole(purpose: int) -> None:
    chance = Chance(purpose)
    hits = [chance.hits(20.0) for _ in range(1000)]
    for begin in range(0, 1000, 50):
        assert 4 <= sum(hits[begin : begin + 50]) <= 16


@pytest.mark.parametrize(("one", "other"), [*itertools.combinations(PURPOSES, 2)])
def test_what_is_drawn_for_two_purposes_is_independent(one: int, other: int) -> None:
    first, second = Chance(one), Chance(other)
    both = sum(first.hits(50.0) & second.hits(50.0) for _ in range(10_000))
    assert abs(both - 2500) < 150


def test_each_begins_somewhere_else() -> None:
    assert len({Chance(SPLIT).draw() for _ in range(100)}) == 100
    firsts = sum(Chance(SPLIT).hits(50.0) for _ in range(1000))  # a rule that is replaced after each request
    assert 350 < firsts < 650


def test_draws_stay_below_one() -> None:
    chance = Chance(SPLIT, start=0.9999999999)
    assert all(0.0 <= chance.draw() < 1.0 for _ in range(10_000))
