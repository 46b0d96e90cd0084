"""THE resolver: rules and a request in, a decision out. Chance comes in as numbers, reasons go out as steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from composemesh.model.origin import Origin
from composemesh.model.route import (
    MESH,
    ConnectionMatch,
    ConnectionRule,
    HttpMatch,
    HttpRule,
    VirtualHost,
    WeightedDestination,
)
from composemesh.routing.chance import SPLIT, Chance
from composemesh.routing.labels import has
from composemesh.routing.predicates import Predicate, connection_predicates, predicates
from composemesh.routing.request import Opening, Request

ANYTHING = HttpMatch()
"""What a rule without matches asks for."""
ANY_CONNECTION = ConnectionMatch()

RuleT = TypeVar("RuleT", bound=HttpRule | ConnectionRule)
MatchT = TypeVar("MatchT", bound=HttpMatch | ConnectionMatch)


class Candidate(Generic[RuleT, MatchT]):
    """One match of one rule, compiled."""

    __slots__ = ("actions", "chance", "gateways", "host", "match", "predicates", "rule", "total")

    def __init__(
        self, host: VirtualHost, rule: RuleT, match: MatchT, tests: tuple[Predicate, ...], chance: Chance
    ) -> None:
        self.host = host
        self.rule = rule
        self.match = match
        self.gateways = match.gateways or host.gateways
        self.predicates = tests
        self.total = sum(arm.weight for arm in rule.destinations)
        self.chance = chance
        """What splits are drawn from; one for all matches of a rule."""
        self.actions: Any = None
        """What the proxy has made of the rule, once it has been met (see `proxy.filters`)."""

    def __repr__(self) -> str:
        return f"<Candidate {self.name} {list(self.predicates)}>"

    @property
    def name(self) -> str:
        """Istio's name of the route, or else where it is written."""
        if isinstance(self.rule, HttpRule) and self.rule.name:
            own = self.match.name if isinstance(self.match, HttpMatch) else ""
            return f"{self.rule.name}.{own}" if own else self.rule.name
        return str(self.rule.origin if self.rule.origin.kind else self.host.origin)

    @property
    def origin(self) -> Origin:
        """Where the match is written, or else its rule."""
        return self.match.origin if self.match.origin.file else self.rule.origin

    def concerns(self, gateway: str, port: int, source_labels: Mapping[str, str]) -> bool:
        """Whether requests of this caller to this port may ever meet it. Istio decides the same when it compiles."""
        match = self.match
        return (
            gateway in self.gateways
            and (not match.port or match.port == port)
            and (not match.source_labels or has(source_labels, match.source_labels))
        )


HttpCandidate = Candidate[HttpRule, HttpMatch]
ConnectionCandidate = Candidate[ConnectionRule, ConnectionMatch]
Draw = Callable[[Chance], float]
"""What picks the arm of a split, from 0 up to but not including 1: for the data path the next number of the rule's
own sequence, for whoever only wonders a number of its choice."""


class Decision(Generic[RuleT, MatchT]):
    """What is to become of a request, or of a connection."""

    __slots__ = ("arm", "candidate")

    def __init__(self, candidate: Candidate[RuleT, MatchT], arm: WeightedDestination | None) -> None:
        self.candidate = candidate
        """The match that held: a prefix rewrite needs to know the prefix."""
        self.arm = arm
        """Where it goes; None where the rule answers itself, or has nowhere to send it."""

    def __repr__(self) -> str:
        return f"<Decision {self.rule.origin} → {self.arm and self.arm.destination}>"

    @property
    def rule(self) -> RuleT:
        return self.candidate.rule

    @property
    def match(self) -> MatchT:
        return self.candidate.match


class Step:
    """One thing that was considered on the way to a decision (`explain`)."""

    __slots__ = ("because", "candidate", "matched", "origin", "stage")

    def __init__(self, stage: str, candidate: str, matched: bool, because: str, origin: Origin) -> None:
        self.stage = stage
        self.candidate = candidate
        self.matched = matched
        self.because = because
        self.origin = origin

    def __repr__(self) -> str:
        return f"<Step {self.stage} {self.candidate} {'matched' if self.matched else 'passed over'}: {self.because}>"


def candidates(hosts: Iterable[VirtualHost], gateway: str = MESH) -> tuple[HttpCandidate, ...]:
    """All matches of the HTTP rules of some hosts, in order of precedence, that `gateway` may ever meet."""
    found = []
    for host in hosts:
        for rule in host.http:
            chance = Chance(SPLIT)
            found += [
                Candidate(host, rule, match, predicates(match, host.gateways), chance)
                for match in rule.matches or (ANYTHING,)
                if gateway in (match.gateways or host.gateways)
            ]
    return tuple(found)


def connection_candidates(
    hosts: Iterable[VirtualHost], gateway: str = MESH, *, tls: bool
) -> tuple[ConnectionCandidate, ...]:
    """The same for connections: of the `tls` rules, which look at the server's name, or of the `tcp` rules."""
    found = []
    for host in hosts:
        for rule in host.tls if tls else host.tcp:
            chance = Chance(SPLIT)
            found += [
                Candidate(host, rule, match, connection_predicates(match, host.gateways), chance)
                for match in rule.matches or (ANY_CONNECTION,)
                if gateway in (match.gateways or host.gateways)
            ]
    return tuple(found)


def next_draw(chance: Chance) -> float:
    """How the data path draws."""
    return chance.draw()


def resolve(
    rules: Sequence[HttpCandidate], request: Request, draw: Draw = next_draw, steps: list[Step] | None = None
) -> Decision[HttpRule, HttpMatch] | None:
    """The decision of the first candidate all of whose conditions hold; None where none does.

    With `steps`, every candidate that was tried is written down there, with the first condition that failed.
    """
    return _decide(rules, request, draw, steps)


def resolve_connection(
    rules: Sequence[ConnectionCandidate], opening: Opening, draw: Draw = next_draw, steps: list[Step] | None = None
) -> Decision[ConnectionRule, ConnectionMatch] | None:
    """The same for a connection whose bytes are passed on as they are."""
    return _decide(rules, opening, draw, steps)


def _decide(
    rules: Sequence[Candidate[RuleT, MatchT]], subject: Request | Opening, draw: Draw, steps: list[Step] | None
) -> Decision[RuleT, MatchT] | None:
    for candidate in rules:
        for predicate in candidate.predicates:
            if not predicate.test(subject):
                if steps is not None:
                    steps.append(_step(candidate, False, f"{predicate.wants} does not hold"))
                break
        else:
            if steps is not None:
                steps.append(_step(candidate, True, "every condition holds"))
            return Decision(candidate, _arm(candidate, draw))
    return None


def _arm(candidate: Candidate[RuleT, MatchT], draw: Draw) -> WeightedDestination | None:
    arms = candidate.rule.destinations
    if len(arms) < 2:
        return arms[0] if arms else None
    return arm_of(arms, candidate.total, draw(candidate.chance))


def arm_of(arms: Sequence[WeightedDestination], total: int, draw: float) -> WeightedDestination | None:
    """The arm of a split on which a draw falls; None where no arm has any weight."""
    point = draw * total
    for arm in arms:
        point -= arm.weight
        if point < 0:
            return arm
    return None


def _step(candidate: Candidate[RuleT, MatchT], matched: bool, because: str) -> Step:
    return Step("route", candidate.name, matched, because, candidate.origin)
