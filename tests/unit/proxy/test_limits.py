"""Counts that cannot be upset, and a queue without gaps."""

from __future__ import annotations

import random

import pytest
import trio
import trio.testing

from composemesh.model.flag import Flag
from composemesh.model.policy import ConnectionLimits
from composemesh.proxy.limits import Limits
from composemesh.proxy.refuse import Refused, refusal


def take_one(limits: Limits) -> bool | None:
    return limits.begin_connection() or None


def test_requests_and_retries_are_counted_and_refused_at_the_limit() -> None:
    limits = Limits(ConnectionLimits(max_requests=1, max_retries=1))
    limits.begin_request()
    with pytest.raises(Refused) as refused:
        limits.begin_request()
    assert (refused.value.flag, refused.value.status) == (Flag.UPSTREAM_OVERFLOW, 503)
    assert (b"x-envoy-overloaded", b"true") in refusal(refused.value)[0].fields
    limits.end_request()
    limits.begin_request()
    assert limits.begin_retry()
    assert not limits.begin_retry()
    limits.end_retry()
    assert limits.begin_retry()


def test_zero_is_no_limit() -> None:
    limits = Limits(ConnectionLimits())
    for _ in range(10_000):
        limits.begin_request()
        assert limits.begin_retry()
        assert limits.begin_connection()
    assert not limits.full


async def test_first_come_first_served_also_after_those_who_left() -> None:
    limits = Limits(ConnectionLimits(max_connections=1))
    order: list[int] = []
    scopes = [trio.CancelScope() for _ in range(6)]

    async def wait(number: int) -> None:
        with scopes[number]:
            await limits.turn(lambda: take_one(limits))
            order.append(number)

    assert limits.begin_connection()
    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(wait, number)
            await trio.testing.wait_all_tasks_blocked()
        for number in (0, 3):
            scopes[number].cancel()
        for _ in range(4):
            limits.end_connection()
            await trio.testing.wait_all_tasks_blocked()
    assert order == [1, 2, 4, 5]
    assert limits.connections == 1


async def test_who_is_cancelled_with_the_turn_in_hand_passes_it_on() -> None:
    limits = Limits(ConnectionLimits(max_connections=1))
    order: list[str] = []
    scope = trio.CancelScope()

    async def wait(name: str, scope: trio.CancelScope) -> None:
        with scope:
            await limits.turn(lambda: take_one(limits))
            order.append(name)

    assert limits.begin_connection()
    async with trio.open_nursery() as nursery:
        for name, each in (("cancelled", scope), ("next", trio.CancelScope())):
            nursery.start_soon(wait, name, each)
            await trio.testing.wait_all_tasks_blocked()
        scope.cancel()  # before it has noticed …
        limits.end_connection()  # … it is told that it is its turn
    assert order == ["next"]
    assert limits.connections == 1


async def test_no_newcomer_goes_before_those_who_wait() -> None:
    limits = Limits(ConnectionLimits(max_connections=1))
    order: list[str] = []

    async def wait(name: str) -> None:
        await limits.turn(lambda: take_one(limits))
        order.append(name)

    assert limits.begin_connection()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, "waiting")
        await trio.testing.wait_all_tasks_blocked()
        limits.end_connection()
        nursery.start_soon(wait, "new")
        await trio.testing.wait_all_tasks_blocked()
        assert order == ["waiting"]
        limits.end_connection()
    assert order == ["waiting", "new"]


async def test_only_so_many_may_wait() -> None:
    limits = Limits(ConnectionLimits(max_connections=1, max_pending_requests=2))
    assert limits.begin_connection()
    assert limits.full
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(limits.turn, lambda: take_one(limits))
            await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Refused, match="UO"):
            await limits.turn(lambda: take_one(limits))
        limits.change(ConnectionLimits(max_connections=3))
    assert limits.connections == 3


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_is_cancelled_whenever_the_counts_come_out_even(seed: int) -> None:
    chance = random.Random(seed)
    limits = Limits(ConnectionLimits(max_connections=3))
    most = 0

    async def use() -> None:
        nonlocal most
        with trio.move_on_after(chance.random() * 0.004):
            await limits.turn(lambda: take_one(limits))
            try:
                most = max(most, limits.connections)
                await trio.sleep(chance.random() * 0.002)
            finally:
                limits.end_connection()

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(use)
                if chance.random() < 0.3:
                    await trio.lowlevel.checkpoint()
    assert most == 3
    assert limits.connections == 0
    assert "waiting=0" in repr(limits)
