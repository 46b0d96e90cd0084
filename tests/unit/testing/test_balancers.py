"""`check_balancer`: built-in balancers pass it, and each way to break the contract is told from the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest

from composemesh.model.policy import Balance, Balancer
from composemesh.plugin import Asked
from composemesh.proxy.balance import BALANCERS
from composemesh.proxy.balance.base import CandidateT
from composemesh.proxy.balance.making import Balancers
from composemesh.testing import Broken, check_balancer


@pytest.mark.parametrize("kind", BALANCERS)
def test_every_built_in_balancer_passes(kind: Balancer) -> None:
    balancers = Balancers()
    check_balancer(lambda: balancers.make(Balance(kind)), obstinate=kind is Balancer.PASSTHROUGH)


class First:
    """The first one that is left: keeps its contract but for fairness."""

    def pick(
        self, targets: Sequence[CandidateT], passed_over: Collection[CandidateT], asked: Asked
    ) -> CandidateT | None:
        return next((target for target in targets if target not in passed_over), None)


class Remembering(First):
    """Always the one that was picked first."""

    def __init__(self) -> None:
        self.best: Any = None

    def pick(
        self, targets: Sequence[CandidateT], passed_over: Collection[CandidateT], asked: Asked
    ) -> CandidateT | None:
        if self.best is None:
            self.best = super().pick(targets, passed_over, asked)
        best: CandidateT | None = self.best
        return best


class Careless(First):
    def pick(
        self, targets: Sequence[CandidateT], passed_over: Collection[CandidateT], asked: Asked
    ) -> CandidateT | None:
        return targets[0] if targets else None


class Shy(First):
    def pick(
        self, targets: Sequence[CandidateT], passed_over: Collection[CandidateT], asked: Asked
    ) -> CandidateT | None:
        return None if passed_over else super().pick(targets, passed_over, asked)


class Fragile(First):
    def pick(
        self, targets: Sequence[CandidateT], passed_over: Collection[CandidateT], asked: Asked
    ) -> CandidateT | None:
        return targets[hash(asked.key) % len(targets)]


class Sorting(First):
    def pick(
        self, targets: Sequence[CandidateT], passed_over: Collection[CandidateT], asked: Asked
    ) -> CandidateT | None:
        if isinstance(targets, list):
            targets.reverse()
        return super().pick(targets, passed_over, asked)


class Textual(First):
    def pick(
        self, targets: Sequence[CandidateT], passed_over: Collection[CandidateT], asked: Asked
    ) -> CandidateT | None:
        assert asked.key is not None
        asked.key.decode()
        return super().pick(targets, passed_over, asked)


class Slow:
    def __init__(self) -> None:
        self.turn = 0

    def pick(
        self, targets: Sequence[CandidateT], passed_over: Collection[CandidateT], asked: Asked
    ) -> CandidateT | None:
        began = time.process_time()
        while time.process_time() - began < 0.0001:
            pass
        self.turn += 1
        left = [target for target in targets if target not in passed_over]
        return left[self.turn % len(left)] if left else None


@pytest.mark.parametrize(
    ("balancer", "seen", "instead"),
    [
        (Remembering, "picked <Choice 10.0.0.1", "may be gone"),
        (Careless, "which was to be passed over", "None where all are"),
        (Shy, "picked nobody, though 3 of 4", "only where all"),
        (Fragile, "ZeroDivisionError", "Return None where nobody"),
        (Sorting, "changed what it was given", "a copy"),
        (Textual, "AssertionError", "Return None where nobody"),
        (First, "never picked 10.0.0.2, 10.0.0.3", "its share"),
        (Slow, "µs for a pick, and 50 are allowed", "part of every request"),
    ],
)
def test_a_broken_one_is_told_what_to_do(balancer: Callable[[], Any], seen: str, instead: str) -> None:
    with pytest.raises(Broken) as broken:
        check_balancer(balancer)
    assert seen in str(broken.value)
    assert instead in str(broken.value)
