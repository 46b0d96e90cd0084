"""Delegates: rules of a VirtualService that leave their requests to the rules of another one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from composemesh.config.kinds.kind import Context, Delegation
from composemesh.config.schema.reading import dotted, nearest
from composemesh.model.route import HttpMatch, HttpRule, MatchKind, StringMatch

T = TypeVar("T")


def http_rules(
    context: Context,
    rules: Iterable[HttpRule | Delegation],
    delegates: Mapping[str, list[HttpRule | Delegation]],
) -> tuple[HttpRule, ...]:
    """The rules with those of delegates in the place of each delegation; a delegate that isn't there is warned of."""
    found: list[HttpRule] = []
    for rule in rules:
        if isinstance(rule, HttpRule):
            found.append(rule)
        elif rule.to in delegates:
            found += _merged(context, rule, delegates[rule.to])
        else:
            message = (
                f"{dotted(rule.path)}: there is no VirtualService {rule.to} without hosts; the rule is left out."
            )
            hint = nearest(rule.to, delegates) if delegates else f"Add VirtualService {rule.to}."
            context.warn(rule.path, "unknown-delegate", message, hint)
    return tuple(found)


def _merged(context: Context, delegation: Delegation, rules: Iterable[HttpRule | Delegation]) -> Iterator[HttpRule]:
    """What the delegate says wins; its conditions hold besides the root's (Istio's mergeHTTPRoutes)."""
    root = delegation.rule
    for rule in rules:
        if isinstance(rule, Delegation):
            continue  # refused already
        matches = _both(root.matches, rule.matches)
        if matches is None:
            place = f"{rule.origin.file}:{rule.origin.line}" if rule.origin.file else f"line {rule.origin.line}"
            message = f"{dotted(delegation.path)}: no request can meet both this rule and that of {place}, left out."
            context.warn(delegation.path, "unreachable-rule", message, "Let the delegate's matches be narrower.")
            continue
        yield replace(
            rule,
            matches=matches,
            name="-".join(name for name in (root.name, rule.name) if name),
            rewrite=rule.rewrite or (None if rule.redirect or rule.direct_response else root.rewrite),
            timeout=rule.timeout if rule.timeout is not None else root.timeout,
            retry=rule.retry or root.retry,
            fault=rule.fault or root.fault,
            mirrors=rule.mirrors or root.mirrors,
            cors=rule.cors or root.cors,
            headers=rule.headers or root.headers,
        )


def _both(root: tuple[HttpMatch, ...], mine: tuple[HttpMatch, ...]) -> tuple[HttpMatch, ...] | None:
    """Every match of the one with every match of the other; None where no pair can hold at once."""
    if not root or not mine:
        return root or mine
    pairs = (_and(outer, inner) for inner in mine for outer in root)
    return tuple(match for match in pairs if match is not None) or None


def _and(outer: HttpMatch, inner: HttpMatch) -> HttpMatch | None:
    if outer.port and inner.port and outer.port != inner.port:
        return None
    try:
        return HttpMatch(
            name="-".join(name for name in (outer.name, inner.name) if name),
            uri=_narrower(outer.uri, inner.uri),
            scheme=_narrower(outer.scheme, inner.scheme),
            method=_narrower(outer.method, inner.method),
            authority=_narrower(outer.authority, inner.authority),
            headers=_tables(outer.headers, inner.headers),
            without_headers={**outer.without_headers, **inner.without_headers},
            query_params=_tables(outer.query_params, inner.query_params),
            port=inner.port or outer.port,
            source_labels={**outer.source_labels, **inner.source_labels},
            gateways=inner.gateways or outer.gateways,
            origin=inner.origin,
        )
    except _Never:
        return None


class _Never(Exception):
    """Two conditions exclude each other."""


def _tables(outer: Mapping[str, StringMatch], inner: Mapping[str, StringMatch]) -> dict[str, StringMatch]:
    merged = dict(outer)
    for name, match in inner.items():
        narrower = _narrower(outer.get(name), match)
        if narrower is not None:
            merged[name] = narrower
    return merged


def _narrower(outer: StringMatch | None, inner: StringMatch | None) -> StringMatch | None:
    """The one match that says both. Expressions cannot be joined: two that differ are taken to exclude each other."""
    if outer is None or inner is None or outer == inner:
        return outer or inner
    if outer.kind is MatchKind.PRESENT:
        return inner
    if inner.kind is MatchKind.PRESENT:
        return outer
    if MatchKind.REGEX in (outer.kind, inner.kind):
        raise _Never
    long, short = (inner, outer) if len(inner.value) >= len(outer.value) else (outer, inner)
    if short.kind is MatchKind.EXACT or not long.value.startswith(short.value):
        raise _Never
    return long
