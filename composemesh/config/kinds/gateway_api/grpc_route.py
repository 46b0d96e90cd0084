"""GRPCRoute of Gateway API: a method of gRPC is a path of HTTP/2."""

from __future__ import annotations

import re
from collections.abc import Iterator

from composemesh.config.kinds.gateway_api.common import (
    FILTERS,
    arms,
    backend_ref,
    check_filters,
    headers,
    mirrors,
)
from composemesh.config.kinds.gateway_api.route import NAMED, NOWHERE_TO_GO, named, route_kind
from composemesh.config.kinds.kind import Context
from composemesh.config.schema.fields import Field, later, required
from composemesh.config.schema.messages import Anything, Message, Repeated, Said
from composemesh.config.schema.scalars import Regex, Text, Words, words
from composemesh.model.route import HttpMatch, HttpRule, MatchKind, StringMatch

_TYPES = {
    "RequestHeaderModifier": "requestHeaderModifier",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "RequestMirror": "requestMirror",
    "ExtensionRef": "extensionRef",
}
FILTER = Message({"type": required(words(*_TYPES), "Which one."), **FILTERS})
_METHOD = Message(
    {
        "type": Field(Words({"Exact": False, "RegularExpression": True}), "Exact if unsaid."),
        "service": Field(Text(), "The service, with its package; any if unsaid."),
        "method": Field(Text(), "The method; any if unsaid."),
    },
    some_of=("service", "method"),
)
MATCH = Message(
    {"method": Field(_METHOD, "The method."), "headers": Field(Repeated(NAMED), "Metadata; all must match.")}
)
RULE = Message(
    {
        "name": Field(Text(), "For logs and `explain`."),
        "matches": Field(Repeated(MATCH), "Conditions; one that holds is enough."),
        "filters": Field(Repeated(FILTER), "What is done to calls and answers."),
        "backendRefs": Field(Repeated(backend_ref(FILTER)), "Where calls go."),
        "sessionPersistence": later(Anything(), "The same caller to the same endpoint."),
    }
)


def _rules(context: Context, said: Said) -> Iterator[HttpRule]:
    filters: tuple[Said, ...] = said.get("filters", ())
    check_filters(context, filters, _TYPES)
    destinations, origin = arms(context, said), context.origin(said.path)
    for match in [_match(context, one) for one in said.get("matches", ())] or [HttpMatch(origin=origin)]:
        yield HttpRule(
            matches=(match,),
            destinations=destinations,
            name=said.get("name", ""),
            direct_response=None if destinations else NOWHERE_TO_GO,
            headers=headers(filters),
            mirrors=mirrors(context, filters),
            origin=origin,
        )


def _match(context: Context, said: Said) -> HttpMatch:
    return HttpMatch(
        uri=_path(context, said.get("method")),
        headers={name.lower(): match for name, match in named(context, said, "headers").items()},
        origin=context.origin(said.path),
    )


def _path(context: Context, said: Said | None) -> StringMatch | None:
    """`/package.Service/Method`, as gRPC puts it."""
    if said is None:
        return None
    service, method = said.get("service"), said.get("method")
    if said.get("type", False):
        for word in ("service", "method"):
            if word in said:
                Regex().read(said.at(word), said[word], context.reading)
        return StringMatch(MatchKind.REGEX, f"/(?:{service or '[^/]+'})/(?:{method or '[^/]+'})")
    if service and method:
        return StringMatch(MatchKind.EXACT, f"/{service}/{method}")
    if service:
        return StringMatch(MatchKind.PREFIX, f"/{service}/")
    return StringMatch(MatchKind.REGEX, f"/[^/]+/{re.escape(method or '')}")


KIND = route_kind("GRPCRoute", RULE, _rules)
