"""A one-slot feed: the newest value wins, and a slow reader never holds up a writer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Latest(Generic[T]):
    """A value, and the means to await the next one. Equal values are silence.

    Readers that fall behind see the newest value only: whoever needs every step needs a channel instead.
    """

    def __init__(self, value: T) -> None:
        self.value = value
        self.version = 0
        self._changed = trio.Event()

    def __repr__(self) -> str:
        return f"<Latest v{self.version} {self.value!r:.80}>"

    def publish(self, value: T) -> bool:
        """Replace the value and wake the readers; false where it equals the present one."""
        if value == self.value:
            return False
        self.value = value
        self.version += 1
        changed, self._changed = self._changed, trio.Event()
        changed.set()
        return True

    async def after(self, version: int) -> int:
        """Wait until the value is newer than `version`; return its version. Safe to cancel."""
        while self.version <= version:
            await self._changed.wait()
        return self.version

    async def __aiter__(self) -> AsyncIterator[T]:
        """The present value at once, then each newest one. Use in `async for` in the task that owns the loop."""
        seen = self.version
        yield self.value
        while True:
            seen = await self.after(seen)
            yield self.value
