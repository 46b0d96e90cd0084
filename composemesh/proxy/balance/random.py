"""Any of them, with equal chance (Istio's RANDOM)."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence

from composemesh.model.policy import Balance
from composemesh.proxy.balance.base import Asked, CandidateT


class Random:
    """`draw` gives numbers from 0 up to but not including 1."""

    def __init__(self, _: Balance, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw

    def pick(
        self, targets: Sequence[CandidateT], passed_over: Collection[CandidateT], asked: Asked
    ) -> CandidateT | None:
        eligible = [target for target in targets if target not in passed_over] if passed_over else targets
        return eligible[int(self._draw() * len(eligible))] if eligible else None
