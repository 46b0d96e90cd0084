"""Work for an answer that would hold up traffic: in a thread, for one request after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

T = TypeVar("T")

ONE_AT_A_TIME = trio.CapacityLimiter(1)
"""Reading a large body takes a processor's time for seconds: never that of two."""


async def apart(work: Callable[[], T]) -> T:
    """What `work` returns, or raises, while the loop goes on. Cancelled, its thread ends it for nobody."""
    return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=ONE_AT_A_TIME)
