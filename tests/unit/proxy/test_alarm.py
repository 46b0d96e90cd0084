"""Alarms ring once, on time and in order, unless they are taken back; and what is taken back is not kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest
import trio
import trio.testing

from composemesh.proxy.alarm import FEW, Alarms


@pytest.fixture
async def alarms() -> AsyncIterator[Alarms]:
    async with trio.open_nursery() as nursery:
        yield Alarms(nursery.start_soon)
        nursery.cancel_scope.cancel()


async def test_each_rings_once_when_it_is_due(alarms: Alarms, autojump_clock: trio.testing.MockClock) -> None:
    rung: list[tuple[str, float]] = []
    begin = trio.current_time()

    def ring(name: str) -> None:
        rung.append((name, trio.current_time() - begin))

    alarms.set(2.0, partial(ring, "a"))
    alarms.set(1.0, partial(ring, "b"))
    await trio.sleep(0.5)
    alarms.set(1.0, partial(ring, "c"))
    alarms.set(2.0, partial(ring, "d"))
    await trio.sleep(10)
    assert rung == [("b", 1.0), ("c", 1.5), ("a", 2.0), ("d", 2.5)]
    alarms.set(1.0, partial(ring, "e"))
    await trio.sleep(10)
    [(last, when)] = rung[4:]
    assert last == "e"
    assert abs(when - 11.5) < 1e-5


async def test_what_is_taken_back_does_not_ring_nor_delay_the_next(
    alarms: Alarms, autojump_clock: trio.testing.MockClock
) -> None:
    rung: list[int] = []
    begin = trio.current_time()
    several = [alarms.set(1.0, partial(rung.append, number)) for number in range(5)]
    for number in (0, 1, 3):
        several[number].off()
        several[number].off()
    await trio.sleep(1.001)
    assert rung == [2, 4]
    assert trio.current_time() - begin == pytest.approx(1.001)
    several[2].off()
    await trio.sleep(5)
    assert rung == [2, 4]
    assert repr(alarms) == "<Alarms {}>"


async def test_one_that_rings_may_take_back_and_set_others(
    alarms: Alarms, autojump_clock: trio.testing.MockClock
) -> None:
    rung: list[str] = []

    def first() -> None:
        second.off()
        alarms.set(1.0, partial(rung.append, "third"))

    alarms.set(1.0, first)
    second = alarms.set(1.0, partial(rung.append, "second"))
    await trio.sleep(3)
    assert rung == ["third"]


async def test_a_million_that_never_ring_are_not_kept(alarms: Alarms, autojump_clock: trio.testing.MockClock) -> None:
    keeper = alarms.set(3600.0, lambda: None)
    queue = keeper._queue
    for _ in range(20_000):
        alarms.set(3600.0, lambda: None).off()
    assert len(queue.alarms) <= FEW + 4
    several = [alarms.set(3600.0, lambda: None) for _ in range(1000)]
    for each in several:
        each.off()
    alarms.set(3600.0, lambda: None).off()
    assert len(queue.alarms) <= FEW + 4
    assert queue.set == 1
    rung: list[str] = []
    keeper.ring = partial(rung.append, "kept")
    await trio.sleep(3601)
    assert rung == ["kept"]
