"""Keep a part of the mesh running: what raises is logged and started again, later each time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog
import trio

from composemesh.runtime.failures import Failures, Mistaken

log = structlog.get_logger()

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
HEALTHY_AFTER = 30.0
"""Seconds of running after which the next failure counts as the first again."""


async def supervise(
    name: str, run: Callable[[], Awaitable[object]], tell: Callable[[Exception], object] | None = None
) -> NoReturn:
    """Run `run` for ever. An exception (never a cancellation) is one log line and a pause that doubles.

    `tell` hears of each in place of the log.
    """
    delay = FIRST_DELAY
    while True:
        began = trio.current_time()
        try:
            await run()
        except Exception as problem:
            if trio.current_time() - began > HEALTHY_AFTER:
                delay = FIRST_DELAY
            if tell is not None:
                tell(problem)
            else:
                log.error("restarting", part=name, problem=repr(problem), seconds=delay)
        await trio.sleep(delay)
        delay = min(delay * 2, LONGEST_DELAY)


async def keep_running(failures: Failures, run: Callable[[], Awaitable[object]]) -> NoReturn:
    """`supervise` for what a plugin runs: what it raises is counted, and not even `sys.exit()` ends the mesh."""

    async def once() -> None:
        try:
            await run()
        except (SystemExit, GeneratorExit) as problem:
            raise Mistaken(f"it raised {problem!r}") from problem

    await supervise(str(failures), once, failures.count)
