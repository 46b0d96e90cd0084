"""Fewest requests in flight wins, and ties go round (Istio's LEAST_REQUEST, over all targets instead of a sample).

A Compose service has a handful of replicas, so looking at each costs less than drawing two at random, and a caller
with one request at a time sees its replicas in strict turn.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, TypeVar

from composemesh.model.policy import Balance
from composemesh.proxy.balance.base import Asked, CandidateT


class Loaded(Protocol):
    """What a balancer needs to know of a target."""

    @property
    def active(self) -> int:
        """Requests in flight."""
        ...


LoadedT = TypeVar("LoadedT", bound=Loaded)


def pick(targets: Sequence[LoadedT], turn: int, tried: Collection[LoadedT]) -> LoadedT | None:
    """The best target that was not tried yet; None where all were. `turn` counts up with each call."""
    best: LoadedT | None = None
    least = 0
    count = len(targets)
    for offset in range(count):
        target = targets[(turn + offset) % count]
        if target in tried:
            continue
        load = target.active
        if best is None or load < least:
            best, least = target, load
    return best


class LeastRequest:
    """The same as a balancer that counts its own turns."""

    def __init__(self, _: Balance) -> None:
        self._turn = 0

    def pick(
        self, targets: Sequence[CandidateT], passed_over: Collection[CandidateT], asked: Asked
    ) -> CandidateT | None:
        self._turn += 1
        return pick(targets, self._turn, passed_over)
