"""A balancer by its name. Our own are taken as they are; a plugin's is looked after: each request needs a target.

What raises, or picks somebody who was not on offer, is named and counted, and the least busy target takes its place
for that request.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from composemesh.catalog import Catalog
from composemesh.model.policy import Balance
from composemesh.model.problem import Problem
from composemesh.proxy.balance import BALANCERS
from composemesh.proxy.balance.base import Asked, CandidateT, Picker
from composemesh.proxy.balance.least_request import LeastRequest
from composemesh.runtime.failures import Failures, Mistaken

Make = Callable[[Balance], Picker]


def built_in() -> Catalog[Make]:
    """Our own balancers alone."""
    catalog: Catalog[Make] = Catalog("balancer")
    for name, where in BALANCERS.items():
        catalog.add(name, where, "composemesh")
    return catalog


class Balancers:
    """Makes balancers, and knows which of them have failed."""

    def __init__(self, catalog: Catalog[Any] | None = None) -> None:
        self._catalog: Catalog[Make] = built_in() if catalog is None else catalog
        self._failures: dict[str, Failures] = {}

    def __repr__(self) -> str:
        return f"<Balancers {list(self._catalog)}, {len(self._failures)} failing>"

    def make(self, settings: Balance) -> Picker:
        """A new balancer, as the settings ask for it. Never raises."""
        name = str(settings.kind)
        if name in BALANCERS:
            return self._catalog[name](settings)
        failures = self._failures.setdefault(name, Failures("balancer", name))
        try:
            made = self._catalog[name](settings)
        except (Exception, SystemExit) as problem:
            failures.count(problem)
            return LeastRequest(settings)
        return Guarded(made, failures)

    def failures(self) -> Iterator[Failures]:
        """What plugins' balancers did wrong since the start."""
        yield from self._failures.values()

    def problems(self) -> Iterator[Problem]:
        """What they did wrong lately."""
        for failures in self._failures.values():
            problem = failures.problem("the least busy endpoint is taken instead")
            if problem is not None:
                yield problem


class Guarded:
    """A plugin's balancer, which may fail without a request's being the worse for it."""

    def __init__(self, balancer: Picker, failures: Failures) -> None:
        self._balancer = balancer
        self._failures = failures
        self._instead = LeastRequest(Balance())

    def __repr__(self) -> str:
        return f"<Guarded {self._balancer!r}>"

    def pick(
        self, targets: Sequence[CandidateT], passed_over: Collection[CandidateT], asked: Asked
    ) -> CandidateT | None:
        try:
            picked = self._balancer.pick(targets, passed_over, asked)
            if picked is None or picked in targets:
                return picked
            raise Mistaken(f"it picked {picked!r:.100}, which is none of the targets")
        except (Exception, SystemExit) as problem:
            self._failures.count(problem)
            return self._instead.pick(targets, passed_over, asked)
