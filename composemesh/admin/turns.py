"""Long answers in short pieces: a pure generator stops wherever others may come in between, and whoever runs it says
whether they do. What it reads may change between two pieces, so it takes a copy of whatever it goes through.
"""

from __future__ import annotations

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
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            result: T = end.value
            return result


async def in_turns(pieces: Pieces[T]) -> T:
    """The same, while the loop goes on."""
    began = time.perf_counter()
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            result: T = end.value
            return result
        if time.perf_counter() - began > PIECE:
            await trio.lowlevel.checkpoint()
            began = time.perf_counter()
