"""The one at the address that the caller asked for, and no other (Istio's PASSTHROUGH): no balancing at all."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from composemesh.model.policy import Balance
from composemesh.proxy.balance.base import Asked, CandidateT


class Passthrough:
    """Asks nobody else even where this one has failed: a second try goes to the same address."""

    def __init__(self, _: Balance) -> None:
        pass

    def pick(
        self, targets: Sequence[CandidateT], passed_over: Collection[CandidateT], asked: Asked
    ) -> CandidateT | None:
        return next((target for target in targets if target.host == asked.address), None)
