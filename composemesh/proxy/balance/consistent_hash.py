"""The same key goes to the same target for as long as it is there (Istio's consistentHash, by a ring hash).

Every target owns a number of points on a circle of 2⁶⁴; a key belongs to the first point at or after its own. A
target's points depend on its name alone, never on who else is there. So when one comes it takes over just its share
from the others, when one goes its keys alone move, and a restarted container finds its callers again.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from hashlib import blake2b

from composemesh.model.policy import Balance
from composemesh.proxy.balance.base import Asked, CandidateT
from composemesh.proxy.balance.random import Random

MOST_POINTS = 4096
"""Points of one target, however large a ring is asked for: more spread keys no more evenly, and take milliseconds."""
FEWEST_POINTS = 128
"""With fewer, shares differ by more than a tenth."""
MOST_RINGS = 64
"""Rings that are kept at a time. Callers on different networks see different targets of one service."""


class Ring:
    """The circles of one destination, one for each set of targets that is asked about."""

    def __init__(self, settings: Balance, draw: Callable[[], float] = random.random) -> None:
        wanted = settings.hash.minimum_ring_size if settings.hash is not None else 0
        self._each = min(max(wanted, FEWEST_POINTS), MOST_POINTS)
        self._points: dict[str, list[int]] = {}
        self._rings: dict[tuple[str, ...], tuple[list[int], list[int]]] = {}
        self._random = Random(settings, draw)

    def __repr__(self) -> str:
        return f"<Ring {self._each} points each, {len(self._points)} targets known>"

    def pick(
        self, targets: Sequence[CandidateT], passed_over: Collection[CandidateT], asked: Asked
    ) -> CandidateT | None:
        """Of several that are passed over, the next on the circle takes each one's place. Without a key, any."""
        if asked.key is None or len(targets) < 2:
            return self._random.pick(targets, passed_over, asked)
        points, owners = self._ring(tuple(target.name for target in targets))
        start = bisect_left(points, position(asked.key))
        refused: set[int] = set()
        for step in range(len(points)):
            owner = owners[(start + step) % len(points)]
            if owner in refused:
                continue
            if targets[owner] not in passed_over:
                return targets[owner]
            refused.add(owner)
            if len(refused) == len(targets):
                break
        return None

    def _ring(self, names: tuple[str, ...]) -> tuple[list[int], list[int]]:
        """Points in order, and for each the index of its owner."""
        ring = self._rings.get(names)
        if ring is None:
            if len(self._rings) >= MOST_RINGS:
                self._rings.clear()
                self._points.clear()
            placed = sorted((point, owner) for owner, name in enumerate(names) for point in self._points_of(name))
            ring = self._rings[names] = ([point for point, _ in placed], [owner for _, owner in placed])
        return ring

    def _points_of(self, name: str) -> list[int]:
        points = self._points.get(name)
        if points is None:
            points = self._points[name] = [position(b"%b_%d" % (name.encode(), n)) for n in range(self._each)]
        return points


def position(key: bytes) -> int:
    """Where on the circle a key lies. The same in every process, which Python's own `hash` is not."""
    return int.from_bytes(blake2b(key, digest_size=8).digest())
