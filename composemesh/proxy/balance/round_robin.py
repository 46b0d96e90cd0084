"""One after the other (Istio's ROUND_ROBIN). Those passed over have no turn, so the others share it evenly."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from composemesh.model.policy import Balance
from composemesh.proxy.balance.base import Asked, CandidateT


class RoundRobin:
    """A counter, and nothing else."""

    def __init__(self, _: Balance) -> None:
        self._turn = -1

    def pick(
        self, targets: Sequence[CandidateT], passed_over: Collection[CandidateT], asked: Asked
    ) -> CandidateT | None:
        eligible = [target for target in targets if target not in passed_over] if passed_over else targets
        if not eligible:
            return None
        self._turn += 1
        return eligible[self._turn % len(eligible)]
