"""Log lines about clients, bounded: who misbehaves a thousand times a second fills no disk."""

from __future__ import annotations

import structlog
import trio

log = structlog.get_logger()

BURST = 5
"""Lines of one kind in a row."""
EVERY = 1.0
"""Seconds between lines of one kind after that."""


class Complaints:
    """One line each, as long as there are few; of many, some, with how many were left out."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}
        """Event → when its account is empty: the lines said reach that far ahead."""
        self._unsaid: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Complaints unsaid={self._unsaid}>"

    def say(self, event: str, **what: str) -> None:
        now = trio.current_time()
        until = max(self._next.get(event, 0.0), now)
        if until - now > BURST * EVERY:
            self._unsaid[event] = self._unsaid.get(event, 0) + 1
            return
        self._next[event] = until + EVERY
        unsaid = self._unsaid.pop(event, 0)
        if unsaid:
            log.warning(event, **what, more=unsaid)
        else:
            log.warning(event, **what)
