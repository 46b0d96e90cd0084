"""Counters that know when: the last minute by seconds, the last hour ever more coarsely, and everything before.

A second in which nothing happens leaves no trace and costs nothing: slots are made by the first exchange of their
second, and folded into coarser ones by the first exchange that finds them old. Folding adds up and never rounds, so
that the total over everything is exact at every moment.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Final

SECONDS: Final = 60
"""How far back single seconds are known."""
TIERS: Final = ((1, SECONDS), (10, 300), (60, 3600))
"""Seconds in one slot, and how many seconds back slots of that size are known."""
LONGEST: Final = TIERS[-1][1]
"""The longest window in seconds, short of everything."""

_GROWTH: Final = 1.1
"""Ratio of a latency bucket's bounds. A quantile read at the bucket's middle is off by at most 4.9 %."""
SHORTEST: Final = 1e-6
"""Seconds; what is shorter counts as this long."""
LOG_SCALE: Final = 1 / math.log(_GROWTH)


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

    def take_out(self, other: Tally) -> None:
        """Undo `add`."""
        self.errors -= other.errors
        self.received -= other.received
        self.sent -= other.sent
        for bucket, count in other.latencies.items():
            left = self.latencies[bucket] - count
            if left:
                self.latencies[bucket] = left
            else:
                del self.latencies[bucket]

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

    __slots__ = ("_before", "_looked", "_minute", "_tiers", "newest")

    def __init__(self) -> None:
        self.newest = Tally(-1)
        self._tiers: tuple[deque[Tally], ...] = tuple(deque() for _ in TIERS)
        """Slots of each size, ascending by time; the newest second is not among them."""
        self._before = Tally(-1)
        """Everything older."""
        self._minute: Tally | None = None
        """The sum of all single seconds, while somebody looks at the last minute again and again; else None."""
        self._looked = -1
        """The second of the last such look."""

    def __repr__(self) -> str:
        return f"<Window newest={self.newest!r} slots={[len(tier) for tier in self._tiers]}>"

    def turn(self, second: int) -> Tally:
        """Begin another second: returns its tally, and folds what has become old."""
        if self.newest.at >= 0:
            self._tiers[0].append(self.newest)
            if self._minute is not None:
                if second - self._looked < SECONDS:
                    self._minute.add(self.newest)
                else:
                    self._minute = None
        self.newest = Tally(second)
        self._age(second)
        return self.newest

    def _age(self, second: int) -> None:
        """Fold what has become old."""
        for number, (step, span) in enumerate(TIERS):
            tier = self._tiers[number]
            while tier and tier[0].at + step - 1 <= second - span:
                old = tier.popleft()
                if number == 0 and self._minute is not None:
                    self._minute.take_out(old)
                self._fold(old, number + 1)

    def _fold(self, old: Tally, number: int) -> None:
        """Add a slot to the one of the next size that it falls into."""
        if number == len(TIERS):
            self._before.add(old)
            return
        tier = self._tiers[number]
        start = old.at - old.at % TIERS[number][0]
        if not tier or tier[-1].at != start:
            tier.append(Tally(start))
        tier[-1].add(old)

    def over(self, now: float, seconds: int | None, total: Tally | None = None) -> Tally:
        """What happened in the last `seconds`, the present one included; None: since the start. Added to `total`,
        where there is one.

        Exact to the second up to a minute. A longer window begins with a whole slot: it may reach back nine seconds
        further than asked, and beyond five minutes 59. The minute is what everybody looks at, once a second: of it,
        only the first look costs more than what has changed since the last.
        """
        second = int(now)
        if total is None:
            total = Tally(second)
        for tally in self._last_minute(second) if seconds == SECONDS else self._within(second, seconds):
            total.add(tally)
        return total

    def _last_minute(self, second: int) -> Iterator[Tally]:
        self._age(second)
        self._looked = second
        if self._minute is None:
            self._minute = Tally(second)
            for tally in self._tiers[0]:
                self._minute.add(tally)
        yield self._minute
        if self.newest.at > second - SECONDS:
            yield self.newest

    def slots(self, now: float, seconds: int, step: int) -> dict[int, Tally]:
        """The same in stretches of `step` seconds, by the second that each begins with; where nothing happened, none.

        `step` must be a multiple of the slots that so long a window has: see `TIERS`.
        """
        found: dict[int, Tally] = {}
        for tally in self._within(int(now), seconds):
            at = tally.at - tally.at % step
            found.setdefault(at, Tally(at)).add(tally)
        return found

    def _within(self, second: int, seconds: int | None) -> Iterator[Tally]:
        if seconds is None:
            yield self._before
        finer = 0
        for (step, span), tier in zip(TIERS, self._tiers, strict=True):
            if seconds is None:
                yield from tier
            elif seconds > finer:
                yield from (tally for tally in tier if tally.at + step - 1 > second - seconds)
            finer = span
        if seconds is None or self.newest.at > second - seconds:
            yield self.newest
