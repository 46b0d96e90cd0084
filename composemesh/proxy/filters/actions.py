"""A rule, compiled for the request path: what it does, and its sequences of chance, made when it is first met."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from composemesh.model.route import NO_HEADERS, HttpMatch, HttpRule
from composemesh.proxy.codec.grammar import is_authority
from composemesh.proxy.filters.changes import Change, authority_of, clean
from composemesh.proxy.filters.cors import CorsPolicy
from composemesh.proxy.filters.faults import Faults
from composemesh.proxy.filters.mirror import Mirroring
from composemesh.proxy.filters.rewrite import path_rewrite

if TYPE_CHECKING:
    from composemesh.model.route import WeightedDestination
    from composemesh.routing.resolve import Decision, HttpCandidate


LONGEST_NOTED = 256
"""Bytes of a header's value that a record keeps."""
SECRETS = frozenset({"authorization", "cookie", "proxy-authorization"})
"""Headers that rules may compare and no record shows."""


class Arm(NamedTuple):
    """What a rule and one arm of its split change together."""

    request: Change
    response: Change
    authority: bytes


class Actions:
    """All that one rule does besides choosing. Shared by all requests that meet it through one match."""

    __slots__ = ("_arms", "_none", "asks", "cors", "faults", "mirrors", "name", "path", "rule", "uri")

    def __init__(self, candidate: HttpCandidate) -> None:
        self.rule = rule = candidate.rule
        self.name = candidate.name
        self.uri = candidate.match.uri
        self.asks = tuple(sorted(candidate.match.headers.keys() - SECRETS))
        """Headers without which nobody can tell why the rule was met."""
        self.faults = Faults(rule.fault) if rule.fault is not None else None
        self.cors = CorsPolicy(rule.cors) if rule.cors is not None else None
        self.path = path_rewrite(rule.rewrite, self.uri) if rule.rewrite is not None else None
        self.mirrors = tuple(Mirroring(mirror, number) for number, mirror in enumerate(rule.mirrors))
        self._arms = {id(arm): _arm(rule, arm) for arm in rule.destinations}
        self._none = _arm(rule, None)

    def __repr__(self) -> str:
        return f"<Actions of {self.name}>"

    def noted(self, values: Mapping[bytes, bytes]) -> dict[str, str]:
        """Of a request's headers, those that the rule asked for."""
        found = {name: values.get(name.encode()) for name in self.asks}
        return {name: value[:LONGEST_NOTED].decode("latin-1") for name, value in found.items() if value is not None}

    def arm(self, decision: Decision[HttpRule, HttpMatch]) -> Arm:
        """What is changed on the way to where a decision leads."""
        return self._none if decision.arm is None else self._arms[id(decision.arm)]


def actions_of(candidate: HttpCandidate) -> Actions:
    """The actions of the rule that was met."""
    found = candidate.actions
    if found is None:
        found = candidate.actions = Actions(candidate)
    assert isinstance(found, Actions), "nobody else attaches anything to a candidate"
    return found


def _arm(rule: HttpRule, arm: WeightedDestination | None) -> Arm:
    own = NO_HEADERS if arm is None else arm.headers
    rewritten = clean(rule.rewrite.authority) if rule.rewrite is not None else b""
    if not is_authority(rewritten):
        rewritten = authority_of(rule.headers.request, own.request)
    return Arm(Change(own.request, rule.headers.request), Change(own.response, rule.headers.response), rewritten)
