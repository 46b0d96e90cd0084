"""A test that hangs fails alone, with the place where it hung."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from environment.patience import bounded


async def test_what_hangs_is_cancelled_and_says_where() -> None:
    async def waits_for_nobody() -> None:
        await trio.Event().wait()

    with pytest.raises(pytest.fail.Exception, match="waits_for_nobody"):
        await bounded(waits_for_nobody, 0.05)()


async def test_a_clock_that_jumps_is_not_the_clock_on_the_wall(autojump_clock: MockClock) -> None:
    await bounded(trio.sleep, 30)(1_000_000)


async def test_what_fails_in_time_fails_as_itself() -> None:
    async def fails() -> None:
        raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        await bounded(fails, 30)()
