"""Percentages and weights that come out exact over time, and not just on average.

Each is drawn from a Kronecker sequence: n·√p, less its whole part, p a prime. Its points fill the interval so evenly
that after n requests a share is off by a few requests, not by √n of them as with dice; and sequences of different
primes are independent of one another (Weyl). Each begins somewhere else, so that rules that are replaced
again and again do not send every first request to their first arm.
"""

from __future__ import annotations

import random
from math import sqrt

SPLIT, DELAY, ABORT, MIRROR = range(4)
"""What is drawn for. One request may be split, delayed, aborted and mirrored, each by its own chance."""
_STEPS = tuple(sqrt(prime) % 1.0 for prime in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37))


class Chance:
    """One such sequence."""

    __slots__ = ("_point", "_step")

    def __init__(self, purpose: int, start: float | None = None) -> None:
        self._step = _STEPS[purpose % len(_STEPS)]
        self._point = random.random() if start is None else start

    def __repr__(self) -> str:
        return f"<Chance at {self._point:.3f}>"

    def draw(self) -> float:
        """The next number, from 0 up to but not including 1."""
        point = self._point = (self._point + self._step) % 1.0
        return point

    def hits(self, percent: float) -> bool:
        """Whether something that happens to so many of a hundred happens now."""
        return self.draw() * 100.0 < percent
