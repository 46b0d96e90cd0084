"""Long answers in short pieces: a pure generator stops wherever others may come in between, and whoever runs it says
whether they do. What it reads may change between two pieces, so it takes a copy of whatever it goes through.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from typing import TypeVar

import trio

T = TypeVar("T")
Pieces = Generator[None, None, T]

PIECE = 0.004
"""Seconds at a stretch; then it is the turn of everybody else who waits."""


def at_once(pieces: Pieces[T]) -> T:
    """All of them, one after the other."""
    came_to = _stepped(pieces, math.inf)
    assert came_to is not None, "time has no end"
    return came_to[0]


async def in_turns(pieces: Pieces[T]) -> T:
    """The same, while the loop goes on."""
    while (came_to := _stepped(pieces, time.perf_counter() + PIECE)) is None:
        await trio.lowlevel.checkpoint()
    return came_to[0]


def _stepped(pieces: Pieces[T], until: float) -> tuple[T] | None:
    """Step through them until that moment; what they came to, or None where there are more."""
    try:
        next(pieces)
        while time.perf_counter() < until:
            next(pieces)
    except StopIteration as end:
        return (end.value,)
    return None
