"""How late the loop runs what is due: the one figure that tells whether this process has more to do than it can."""

from __future__ import annotations

from collections import deque

import trio

INTERVAL = 0.1
"""Seconds between looks. A look costs microseconds; what blocks the loop for longer than this is never missed."""
WINDOW = 15.0
"""Seconds for which a look counts: Prometheus' usual scrape interval, so that no scrape misses a stall."""


class LoopLag:
    """Looks at the clock now and then, and remembers by how much each look was late."""

    def __init__(self) -> None:
        self._late: deque[float] = deque(maxlen=round(WINDOW / INTERVAL))

    def __repr__(self) -> str:
        return f"<LoopLag {self.worst * 1000:.1f} ms>"

    @property
    def worst(self) -> float:
        """The largest delay within the last WINDOW, in seconds."""
        return max(self._late, default=0.0)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            due = trio.current_time() + INTERVAL
            await trio.sleep_until(due)
            self._late.append(max(0.0, trio.current_time() - due))
