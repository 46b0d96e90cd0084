"""Waiting for others at a start, within bounds: what takes longer follows later."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

from composemesh.runtime.latest import Latest

T = TypeVar("T")

SETTLED_WITHIN = 20.0
"""Seconds that a start waits: for the engine, and for every workload to be captured or refused."""


async def until(feed: Latest[T], enough: Callable[[T], bool]) -> None:
    """Wait, within bounds, for a feed's value to be good enough to go on."""
    with trio.move_on_after(SETTLED_WITHIN):
        while not enough(feed.value):
            await feed.after(feed.version)
