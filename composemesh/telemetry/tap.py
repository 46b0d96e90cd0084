"""Records as they come, for whoever watches. While nobody does, the request path does not know of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from composemesh.model.record import Record
from composemesh.telemetry.hub import Hub

MOST_WAITING = 1000
"""Records that one watcher may be behind; then the oldest are lost, and counted."""
MOST_WATCHERS = 32


class TooMany(Exception):
    """Everybody watches already."""


class Watcher:
    """One reader's queue."""

    def __init__(self, wanted: Callable[[Record], bool]) -> None:
        self.dropped = 0
        """Records lost because the reader did not keep up."""
        self._wanted = wanted
        self._waiting: deque[Record] = deque()
        self._more = trio.Event()

    def __repr__(self) -> str:
        return f"<Watcher waiting={len(self._waiting)} dropped={self.dropped}>"

    def put(self, record: Record) -> None:
        """Take a record; on the request path."""
        if not self._wanted(record):
            return
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(record)
        self._more.set()

    async def take(self) -> list[Record]:
        """All records since the last call; waits for the first. Safe to cancel."""
        await self._more.wait()
        self._more = trio.Event()
        taken = list(self._waiting)
        self._waiting.clear()
        return taken


@contextmanager
def watching(hub: Hub, wanted: Callable[[Record], bool]) -> Iterator[Watcher]:
    """A watcher of the records that are `wanted`, for as long as the block lasts. Raises TooMany."""
    if sum(isinstance(feed, Watcher) for feed in hub.feeds) >= MOST_WATCHERS:
        raise TooMany
    watcher = Watcher(wanted)
    hub.add_feed(watcher)
    try:
        yield watcher
    finally:
        hub.remove_feed(watcher)
