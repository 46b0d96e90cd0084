"""Idle connections: lent when quiet, trusted while fresh, gone with their endpoint."""

from __future__ import annotations

import math
import time

import pytest

from composemesh.proxy.pool import FRESH, LONGEST_IDLE, MOST_IDLE, Pool, Pools


class Idle:
    """What the pool needs to know of a connection."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self.expires = math.inf
        self.quiet = True
        self.closed = False

    def is_quiet(self) -> bool:
        return self.quiet

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def pool() -> Pool:
    return Pool()


def test_the_newest_is_lent_first_and_only_quiet_ones(pool: Pool) -> None:
    old, noisy, new = Idle(), Idle(), Idle()
    for idle in (old, noisy, new):
        pool.checkin(idle)  # type: ignore[arg-type]
    noisy.quiet = False
    assert pool.checkout(repeatable=True) is new  # type: ignore[comparison-overlap]
    assert pool.checkout(repeatable=True) is old  # type: ignore[comparison-overlap]
    assert noisy.closed
    assert pool.checkout(repeatable=True) is None


def test_what_must_not_be_sent_twice_goes_on_no_stale_connection(pool: Pool) -> None:
    idle = Idle()
    pool.checkin(idle)  # type: ignore[arg-type]
    idle.idle_since = time.monotonic() - FRESH - 0.1
    assert pool.checkout(repeatable=False) is None
    assert pool.checkout(repeatable=True) is idle  # type: ignore[comparison-overlap]


def test_too_many_too_old_and_too_late_are_closed(pool: Pool) -> None:
    idles = [Idle() for _ in range(MOST_IDLE + 1)]
    for idle in idles:
        pool.checkin(idle)  # type: ignore[arg-type]
    assert [idle.closed for idle in idles] == [False] * MOST_IDLE + [True]
    idles[0].quiet = False
    assert pool.prune(time.monotonic())
    assert idles[0].closed
    assert not pool.prune(time.monotonic() + LONGEST_IDLE + 1)
    assert all(idle.closed for idle in idles)
    pool.close()
    late = Idle()
    pool.checkin(late)  # type: ignore[arg-type]
    assert late.closed


def test_no_pool_outlives_its_namespace() -> None:
    pools = Pools()
    address = ("10.0.0.1", 80)
    assert pools[address] is pools[address]
    pools.close()
    late = Idle()
    pools[address].checkin(late)  # type: ignore[arg-type]
    assert late.closed
    assert pools["10.0.0.2", 80].closed


def test_a_pool_that_was_forgotten_while_in_use_closes_what_comes_back() -> None:
    pools = Pools()
    pool = pools["10.0.0.1", 80]
    pools.prune(time.monotonic())
    assert not pools
    idle = Idle()
    pool.checkin(idle)  # type: ignore[arg-type]
    assert idle.closed
