"""How much work a peer may cause for nothing; the h2 library counts none of it."""

from __future__ import annotations

BURST = 1000
"""Frames beyond what is paid for: a client that starts sends some ten."""
A_SECOND = 100
RESET = 20
"""What a stream costs that the client opens and resets (rapid reset, CVE-2023-44487)."""


class Exhausted(Exception):
    """The peer has spent everything."""


class Budget:
    """An account that time fills. `now` is seconds on any clock that only goes forward."""

    def __init__(self, now: float) -> None:
        self._left = float(BURST)
        self._filled = now

    def __repr__(self) -> str:
        return f"<Budget {self._left:.0f}/{BURST}>"

    def earn(self, amount: int) -> None:
        """Useful work was done: what it brings along is paid for."""
        self._left = min(self._left + amount, BURST)

    def spend(self, amount: int, now: float) -> None:
        """Raises Exhausted when there is nothing left."""
        self._left = min(self._left + (now - self._filled) * A_SECOND, BURST) - amount
        self._filled = now
        if self._left < 0:
            raise Exhausted
