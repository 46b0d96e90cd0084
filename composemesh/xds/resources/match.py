"""What a rule asks of a request, in Envoy's words. In JSON: rules are rare beside endpoints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from composemesh.model.route import MatchKind, StringMatch

if TYPE_CHECKING:
    from composemesh.model.route import HttpMatch

Json = dict[str, Any]


def route_match(match: HttpMatch, *, proxyless: bool) -> Json:
    """A RouteMatch. Gateways, ports and labels of the caller are not in it: others never get the route."""
    made = _path(match.uri, proxyless)
    headers = [
        *_pseudo(match),
        *(header(name, want) for name, want in match.headers.items()),
        *(header(name, want, inverted=True) for name, want in match.without_headers.items()),
    ]
    if headers:
        made["headers"] = headers
    if match.query_params:
        made["query_parameters"] = [_query(name, want) for name, want in match.query_params.items()]
    return made


def _path(uri: StringMatch | None, proxyless: bool) -> Json:
    if uri is None or uri.kind is MatchKind.PRESENT:
        return {"prefix": ""} if proxyless else {"prefix": "/"}
    if uri.kind is MatchKind.REGEX:
        return {"safe_regex": {"regex": uri.value}}
    case: Json = {"case_sensitive": False} if uri.ignore_case else {}
    if uri.kind is MatchKind.EXACT:
        return {"path": uri.value, **case}
    if uri.kind is MatchKind.PREFIX:
        return {"prefix": uri.value, **case}
    stem = uri.value.rstrip("/")
    if not stem:
        return {"prefix": "/"}
    if proxyless or not stem.startswith("/") or "?" in stem or "#" in stem:
        return {"safe_regex": {"regex": segments(stem)}}
    return {"path_separated_prefix": stem, **case}


def _pseudo(match: HttpMatch) -> Iterator[Json]:
    for name, want in ((":method", match.method), (":scheme", match.scheme), (":authority", match.authority)):
        if want is not None:
            yield header(name, want)


def header(name: str, want: StringMatch, *, inverted: bool = False) -> Json:
    """A HeaderMatcher. For a pattern that must not match, a missing header is an empty one, as Istio has it."""
    made: Json = {"name": name}
    if want.kind is MatchKind.PRESENT:
        made["present_match"] = True
    else:
        made["string_match"] = string_match(want)
        if inverted:
            made["treat_missing_header_as_empty"] = True
    if inverted:
        made["invert_match"] = True
    return made


def _query(name: str, want: StringMatch) -> Json:
    if want.kind is MatchKind.PRESENT:
        return {"name": name, "present_match": True}
    return {"name": name, "string_match": string_match(want)}


def string_match(want: StringMatch) -> Json:
    """A StringMatcher."""
    if want.kind is MatchKind.REGEX:
        return {"safe_regex": {"regex": want.value}}
    if want.kind is MatchKind.PRESENT:
        return {"safe_regex": {"regex": ".*"}}
    if want.kind is MatchKind.SEGMENTS:
        return {"safe_regex": {"regex": segments(want.value.rstrip("/"))}}
    if want.kind is MatchKind.PREFIX and not want.value:
        return {"safe_regex": {"regex": ".*"}}  # Envoy wants a prefix to have a letter
    word = "exact" if want.kind is MatchKind.EXACT else "prefix"
    return {word: want.value, **({"ignore_case": True} if want.ignore_case else {})}


def segments(stem: str) -> str:
    """RE2 of a prefix of whole segments."""
    return f"{re.escape(stem)}(/.*)?"
