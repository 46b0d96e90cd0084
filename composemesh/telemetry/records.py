"""Records on their way to one sink: a bounded queue. A sink that is slow, or hangs, costs records and nothing else.

The request path puts, the sink takes; neither ever waits for the other. What does not fit pushes out the oldest,
since old news is worth least, and is counted. Records end before their sink does: it can hand on what it holds.
"""

from __future__ import annotations

import time
from collections import deque

import trio

from composemesh.model.record import Record

MOST_WAITING = 8192
"""Records: about a second of what one process can proxy, and some 8 MiB at the most."""
AT_ONCE = 128
"""Records handed over before others have their turn: some 2 ms of work for a sink that formats each."""
TOGETHER = 0.02
"""Seconds that the first record waits for more. To wake a task costs as much as ten records, so a sink that is woken
for each of them would cost every request a twentieth of its time; fifty times a second costs nothing."""


class Records:
    """What one sink gets, in the order in which exchanges ended: iterate over it, or take batches. One task reads."""

    def __init__(self, name: str = "", most: int = MOST_WAITING) -> None:
        self.name = name
        """Of the sink, as the configuration has it."""
        self.lost = 0
        """Records that the sink did not get, or could not hand on."""
        self.lost_at = float("-inf")
        """When the last one was lost, by `time.monotonic`."""
        self.taken = 0
        """Records that the sink got."""
        self.ended = False
        self._most = most
        self._waiting: deque[Record] = deque()
        self._first: trio.Event | None = None
        """What the sink waits for, while it waits for a record."""
        self._left = 0
        """Records that may be handed over before others have their turn."""

    def __repr__(self) -> str:
        state = " ended" if self.ended else ""
        counts = f"waiting={len(self)} taken={self.taken} lost={self.lost}"
        return f"<Records {self.name or 'of nobody'}{state} {counts}>"

    def __len__(self) -> int:
        """Records that wait."""
        return len(self._waiting)

    def put(self, record: Record) -> None:
        """Take in a record; on the request path. After the end it is lost."""
        if self.ended:
            self.lose(1)
            return
        if len(self._waiting) >= self._most:
            self._waiting.popleft()
            self.lose(1)
        self._waiting.append(record)
        if self._first is not None:
            self._first.set()
            self._first = None

    def end(self) -> None:
        """No more records: the sink gets those that wait, and then is told."""
        self.ended = True
        if self._first is not None:
            self._first.set()

    def lose(self, count: int) -> None:
        """Count records that went nowhere; also for sinks whose own reader does not take them."""
        self.lost += count
        self.lost_at = time.monotonic()

    async def take(self, most: int = AT_ONCE) -> list[Record]:
        """The oldest records, `most` at a time; waits for the first. Empty once there will be none any more.

        Safe to cancel: then no record was taken.
        """
        await self._arrive()
        waiting = self._waiting
        taken = [waiting.popleft() for _ in range(min(most, len(waiting)))]
        self.taken += len(taken)
        return taken

    def __aiter__(self) -> Records:
        return self

    async def __anext__(self) -> Record:
        """The next record; waits for it. The loop is over when there will be none any more. Safe to cancel."""
        if not self._waiting or not self._left:
            self._left = AT_ONCE
            await self._arrive()
            if not self._waiting:
                raise StopAsyncIteration
        self._left -= 1
        self.taken += 1
        return self._waiting.popleft()

    async def _arrive(self) -> None:
        """Wait for some records, or for the end; let others have their turn in any case."""
        if self._waiting or self.ended:
            await trio.lowlevel.checkpoint()
            return
        self._first = trio.Event()
        try:
            await self._first.wait()
        finally:
            self._first = None
        if not self.ended:
            await trio.sleep(TOGETHER)
