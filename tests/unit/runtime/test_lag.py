"""The loop's lag: seen when something blocks the loop, forgotten when the window has passed."""

from __future__ import annotations

import time

import trio
import trio.testing

from composemesh.runtime.lag import INTERVAL, WINDOW, LoopLag


async def test_what_blocks_the_loop_is_seen() -> None:
    lag = LoopLag()
    assert lag.worst == 0.0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lag.run)
        await trio.testing.wait_all_tasks_blocked()
        time.sleep(INTERVAL + 0.2)
        with trio.fail_after(5):
            while not lag.worst:  # noqa: ASYNC110 - a figure, not an event
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert 0.15 < lag.worst < 5


async def test_an_idle_loop_has_none_and_old_stalls_are_forgotten(autojump_clock: trio.testing.MockClock) -> None:
    lag = LoopLag()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lag.run)
        await trio.sleep(INTERVAL * 1.5)
        autojump_clock.jump(2.0)
        await trio.sleep(INTERVAL)
        assert 1.9 < lag.worst <= 2.0
        await trio.sleep(WINDOW + 2 * INTERVAL)
        assert lag.worst < 0.001
        nursery.cancel_scope.cancel()
