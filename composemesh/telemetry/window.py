"""Counters that know when: the last minute by seconds, the last five by tens of seconds, and everything before.

A second in which nothing happens leaves no trace and costs nothing: slots are made by the first exchange of their
second, and folded into coarser ones by the first exchange that finds them old. Folding adds up and never rounds, so
that the total over everything is exact at every moment.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable

SECONDS = 60
"""How far back single seconds are known."""
STEP = 10
"""Seconds in one coarse slot."""
LONGEST = 300
"""Seconds, how far back coarse slots are known: the longest window short of everything."""

_GROWTH = 1.1
"""Ratio of a latency bucket's bounds. A quantile read at the bucket's middle is off by at most 4.9 %."""
SHORTEST = 1e-6
"""Seconds; what is shorter counts as this long."""
LOG_SCALE = 1 / math.log(_GROWTH)


def bucket_of(duration: float) -> int:
    """The latency bucket of a duration in seconds. `Hub.tell` has this line inlined."""
    return int(math.log(duration / SHORTEST) * LOG_SCALE) if duration > SHORTEST else 0


class Tally:
    """What happened in one stretch of time. `at` is the second (or the ten seconds) it stands for."""

    __slots__ = ("at", "errors", "latencies", "received", "sent")

    def __init__(self, at: int) -> None:
        self.at = at
        self.errors = 0
        self.received = 0
        """Body bytes from the callers."""
        self.sent = 0
        """Body bytes to the callers."""
        self.latencies: defaultdict[int, int] = defaultdict(int)
        """Exchanges by latency bucket; their sum is the number of exchanges."""

    def __repr__(self) -> str:
        return f"<Tally at={self.at} requests={self.requests} errors={self.errors}>"

    @property
    def requests(self) -> int:
        return sum(self.latencies.values())

    def add(self, other: Tally) -> None:
        self.errors += other.errors
        self.received += other.received
        self.sent += other.sent
        for bucket, count in other.latencies.items():
            self.latencies[bucket] += count

    def quantile(self, share: float) -> float | None:
        """Seconds that `share` (0 to 1) of the exchanges did not exceed, to 5 %; None where there was none."""
        rank = math.ceil(share * self.requests)
        seen = 0
        for bucket in sorted(self.latencies):
            seen += self.latencies[bucket]
            if seen >= rank:
                return float(SHORTEST * _GROWTH ** (bucket + 0.5))
        return None


class Window:
    """The tallies of one edge. `newest` is where `Hub.tell` writes; `turn` moves on to another second."""

    __slots__ = ("_before", "_coarse", "_fine", "newest")

    def __init__(self) -> None:
        self.newest = Tally(-1)
        self._fine: deque[Tally] = deque()
        """Seconds, ascending, without the newest."""
        self._coarse: deque[Tally] = deque()
        """Tens of seconds, ascending."""
        self._before = Tally(-1)
        """Everything older."""

    def __repr__(self) -> str:
        return f"<Window newest={self.newest!r} seconds={len(self._fine)} tens={len(self._coarse)}>"

    def turn(self, second: int) -> Tally:
        """Begin another second: returns its tally, and folds what has become old."""
        if self.newest.at >= 0:
            self._fine.append(self.newest)
        self.newest = Tally(second)
        while self._fine and self._fine[0].at <= second - SECONDS:
            self._fold(self._fine.popleft())
        while self._coarse and self._coarse[0].at + STEP <= second - LONGEST:
            self._before.add(self._coarse.popleft())
        return self.newest

    def _fold(self, old: Tally) -> None:
        start = old.at - old.at % STEP
        if not self._coarse or self._coarse[-1].at != start:
            self._coarse.append(Tally(start))
        self._coarse[-1].add(old)

    def over(self, now: float, seconds: int | None) -> Tally:
        """What happened in the last `seconds`, the present one included; None: since the start.

        Beyond the last minute the older end is rounded to ten seconds, so that a window may reach back up to nine
        seconds further than asked.
        """
        total = Tally(int(now))
        for tally in self._within(int(now), seconds):
            total.add(tally)
        return total

    def _within(self, second: int, seconds: int | None) -> Iterable[Tally]:
        if seconds is None:
            return (self._before, *self._coarse, *self._fine, self.newest)
        after = second - seconds
        fine = [tally for tally in (*self._fine, self.newest) if tally.at > after]
        if seconds <= SECONDS:
            return fine
        return [*(tally for tally in self._coarse if tally.at + STEP - 1 > after), *fine]
