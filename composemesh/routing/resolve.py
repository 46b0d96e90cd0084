"""THE resolver: rules and a request in, a decision out. Chance comes in as a number, reasons go out as steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from composemesh.model.origin import Origin
from composemesh.model.route import MESH, HttpMatch, HttpRule, VirtualHost, WeightedDestination
from composemesh.routing.predicates import Predicate, predicates
from composemesh.routing.request import Request

ANYTHING = HttpMatch()
"""What a rule without matches asks for."""


class Candidate:
    """One match of one rule, compiled."""

    __slots__ = ("match", "predicates", "rule", "total")

    def __init__(self, rule: HttpRule, match: HttpMatch, gateways: tuple[str, ...]) -> None:
        self.rule = rule
        self.match = match
        self.predicates: tuple[Predicate, ...] = predicates(match, gateways)
        self.total = sum(arm.weight for arm in rule.destinations)

    def __repr__(self) -> str:
        return f"<Candidate {self.rule.name or self.rule.origin} {list(self.predicates)}>"


class Decision:
    """What is to become of a request."""

    __slots__ = ("arm", "match", "rule")

    def __init__(self, rule: HttpRule, match: HttpMatch, arm: WeightedDestination | None) -> None:
        self.rule = rule
        self.match = match
        """The one that held: a prefix rewrite needs to know the prefix."""
        self.arm = arm
        """Where it goes; None where the rule answers itself, or has nowhere to send it."""

    def __repr__(self) -> str:
        return f"<Decision {self.rule.origin} → {self.arm and self.arm.destination}>"


class Step:
    """One thing that was considered on the way to a decision (`explain`)."""

    __slots__ = ("because", "candidate", "matched", "origin", "stage")

    def __init__(self, stage: str, candidate: str, matched: bool, because: str, origin: Origin) -> None:
        self.stage = stage
        self.candidate = candidate
        self.matched = matched
        self.because = because
        self.origin = origin


def candidates(hosts: Iterable[VirtualHost], gateway: str = MESH) -> tuple[Candidate, ...]:
    """All matches of the rules of some hosts, in order of precedence, that `gateway` may ever meet."""
    return tuple(
        Candidate(rule, match, host.gateways)
        for host in hosts
        for rule in host.http
        for match in rule.matches or (ANYTHING,)
        if gateway in (match.gateways or host.gateways)
    )


def resolve(
    rules: Sequence[Candidate], request: Request, draw: float, steps: list[Step] | None = None
) -> Decision | None:
    """The decision of the first candidate all of whose conditions hold; None where none does.

    `draw`, from 0 up to but not including 1, picks the arm of a split. With `steps`, every candidate that was tried
    is written down there, with the first condition that failed.
    """
    for candidate in rules:
        for predicate in candidate.predicates:
            if not predicate.test(request):
                if steps is not None:
                    steps.append(_step(candidate, False, f"{predicate.wants} does not hold"))
                break
        else:
            if steps is not None:
                steps.append(_step(candidate, True, "every condition holds"))
            return Decision(candidate.rule, candidate.match, arm_of(candidate, draw))
    return None


def arm_of(candidate: Candidate, draw: float) -> WeightedDestination | None:
    """The arm of the split on which a draw falls."""
    arms = candidate.rule.destinations
    if len(arms) < 2:
        return arms[0] if arms else None
    point = draw * candidate.total
    for arm in arms:
        point -= arm.weight
        if point < 0:
            return arm
    return None  # no arm has any weight


def _step(candidate: Candidate, matched: bool, because: str) -> Step:
    origin = candidate.match.origin if candidate.match.origin.file else candidate.rule.origin
    return Step("route", candidate.rule.name or str(candidate.rule.origin), matched, because, origin)
