"""How the suites look at what runs: in real time, since what is tested may speak to a socket or a thread."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from composemesh.testing.broken import Broken

PATIENCE = 5.0
"""Seconds for what should take none: machines are busy."""
LONGEST_PAUSE = 0.1
"""Seconds for which one step may keep everybody else from running, on a machine with nothing else to do."""
TICK = 0.005


class Attempt:
    """Something that runs beside the test."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.ended = trio.Event()
        self.problem: Exception | None = None
        """What it raised."""

    async def run(self, work: Callable[[], Awaitable[object]]) -> None:
        """Run until it returns, raises or is cancelled; only what ends the test itself comes through."""
        try:
            with self.scope:
                await work()
        except Exception as problem:
            self.problem = problem
        finally:
            self.ended.set()


@asynccontextmanager
async def attempt(work: Callable[[], Awaitable[object]]) -> AsyncGenerator[Attempt, None]:
    """Run `work` beside the block, and cancel it at its end."""
    made = Attempt()
    raised: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run, work)
        try:
            yield made
        except Exception as problem:
            raised = problem  # a nursery would wrap it in a group
        finally:
            made.scope.cancel()
    if raised is not None:
        raise raised


async def stop(running: Attempt, subject: object) -> None:
    """Cancel, and see that it ends. Raises Broken where it goes on, or makes an exception of it."""
    running.scope.cancel()
    began = trio.current_time()
    with trio.CancelScope(shield=True):
        await running.ended.wait()
    if trio.current_time() - began > PATIENCE:
        raise Broken(
            subject,
            f"went on for {trio.current_time() - began:.1f} s after it was cancelled.",
            "Let trio.Cancelled pass: no `except BaseException` without `raise`, and no shield without a deadline.",
        )
    if running.problem is not None:
        raise Broken(
            subject,
            f"answered its cancellation with {running.problem!r}.",
            "Clean up in `finally`, and raise nothing there: the mesh cancels whatever it no longer needs.",
        ) from running.problem


async def settle(seconds: float = 0.05) -> None:
    """Let everybody do what they have to do. Nobody knows what that is, so there is nothing to wait for but time."""
    await trio.sleep(seconds)


class Pauses:
    """Measures how long the loop could not run anybody."""

    def __init__(self) -> None:
        self.longest = 0.0
        """Seconds."""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            began = time.monotonic()
            await trio.sleep(TICK)
            self.longest = max(self.longest, time.monotonic() - began - TICK)


async def longest_pause(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds for which `work`, at worst, kept the loop from running others."""
    pauses = Pauses()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pauses.run)
        await trio.sleep(TICK)
        await work()
        await trio.sleep(TICK)
        nursery.cancel_scope.cancel()
    return pauses.longest


async def best_pause(work: Callable[[], Awaitable[object]], rounds: int = 3) -> float:
    """The shortest of a few measurements: what blocks always blocks, and a busy machine is busy now and then."""
    best = float("inf")
    for _ in range(rounds):
        best = min(best, await longest_pause(work))
        if best <= LONGEST_PAUSE:
            break
    return best
