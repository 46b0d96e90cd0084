"""Rules that no request reaches, because one before them takes all of theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from composemesh.config.analysis.findings import INEFFECTIVE, UNREACHED, Rules, problem
from composemesh.model.problem import Problem
from composemesh.model.route import ConnectionMatch, ConnectionRule, HttpMatch, HttpRule, MatchKind, StringMatch

MOST_MATCHES = 300
"""Of one VirtualService: each is compared with all before it."""
_ANYTHING = HttpMatch()
_ANY_CONNECTION = ConnectionMatch()

Match = HttpMatch | ConnectionMatch


class _Earlier(NamedTuple):
    rule: str
    match: Match


def unreached(rules: Rules) -> Iterator[Problem]:
    """Each rule, and each of its matches, that a rule before it leaves nothing to."""
    for virtual in rules.virtual_hosts:
        for section in (virtual.http, virtual.tls, virtual.tcp):
            if sum(len(rule.matches) + 1 for rule in section) <= MOST_MATCHES:
                yield from _section(section)


def _section(rules: Sequence[HttpRule | ConnectionRule]) -> Iterator[Problem]:
    before: list[_Earlier] = []
    for number, rule in enumerate(rules):
        name = getattr(rule, "name", "") or f"#{number}"
        matches: Sequence[Match] = rule.matches or (
            (_ANYTHING,) if isinstance(rule, HttpRule) else (_ANY_CONNECTION,)
        )
        covered = 0
        for index, match in enumerate(matches):
            taken = next((earlier for earlier in before if _covers(earlier.match, match)), None)
            if taken is None:
                before.append(_Earlier(name, match))
                continue
            covered += 1
            if rule.matches and taken.match not in (_ANYTHING, _ANY_CONNECTION):
                label = getattr(match, "name", "") or f"#{index}"
                yield problem(INEFFECTIVE, match.origin, name, label, taken.rule)
        if covered == len(matches):
            yield problem(UNREACHED, rule.origin, name, _reason(rule, before))


def _reason(rule: HttpRule | ConnectionRule, before: Sequence[_Earlier]) -> str:
    if not rule.matches:
        return "only the last rule can have no matches"
    if any(earlier.match in (_ANYTHING, _ANY_CONNECTION) for earlier in before):
        return "route without matches defined before"
    return "all matches used by prior rules"


def _covers(wide: Match, narrow: Match) -> bool:
    """Whether everything that meets `narrow` also meets `wide`."""
    if wide.port not in (0, narrow.port) or not wide.source_labels.items() <= narrow.source_labels.items():
        return False
    if wide.gateways and not (narrow.gateways and set(narrow.gateways) <= set(wide.gateways)):
        return False
    if narrow.gateways and not wide.gateways:
        return False  # those of the VirtualService, which may be others
    if isinstance(wide, ConnectionMatch) or isinstance(narrow, ConnectionMatch):
        return isinstance(wide, ConnectionMatch) and isinstance(narrow, ConnectionMatch) and _within(wide, narrow)
    texts = (
        (wide.uri, narrow.uri),
        (wide.scheme, narrow.scheme),
        (wide.method, narrow.method),
        (wide.authority, narrow.authority),
    )
    return (
        all(_implied(*pair) for pair in texts)
        and _tables(wide.headers, narrow.headers)
        and _tables(wide.query_params, narrow.query_params)
        and wide.without_headers.items() <= narrow.without_headers.items()
    )


def _within(wide: ConnectionMatch, narrow: ConnectionMatch) -> bool:
    return (not wide.sni_hosts or bool(narrow.sni_hosts and set(narrow.sni_hosts) <= set(wide.sni_hosts))) and (
        not wide.destination_subnets
        or bool(narrow.destination_subnets and set(narrow.destination_subnets) <= set(wide.destination_subnets))
    )


def _tables(wide: Mapping[str, StringMatch], narrow: Mapping[str, StringMatch]) -> bool:
    return all(name in narrow and _implied(match, narrow[name]) for name, match in wide.items())


def _implied(wide: StringMatch | None, narrow: StringMatch | None) -> bool:
    if wide is None or wide == narrow:
        return True
    if narrow is None or wide.ignore_case != narrow.ignore_case:
        return False
    if wide.kind is MatchKind.PRESENT:
        return True
    texts = (MatchKind.EXACT, MatchKind.PREFIX)
    if wide.kind is MatchKind.PREFIX:
        return narrow.kind in (*texts, MatchKind.SEGMENTS) and narrow.value.startswith(wide.value)
    if wide.kind is MatchKind.SEGMENTS and narrow.kind in (MatchKind.EXACT, MatchKind.SEGMENTS):
        inside = wide.value.rstrip("/")
        return narrow.value.rstrip("/") == inside or narrow.value.startswith(f"{inside}/")
    return False
