"""GRPCRoute of Gateway API: a method of gRPC is a path of HTTP/2."""

from __future__ import annotations

import re

from composemesh.config.kinds.gateway_api.common import (
    FILTERS,
    GROUP,
    PARENT,
    VERSIONS,
    arms,
    backend_ref,
    check_filters,
    headers,
    mirrors,
    precedence,
    virtual_hosts,
)
from composemesh.config.kinds.gateway_api.http_route import NAMED, NOWHERE_TO_GO, named
from composemesh.config.kinds.kind import Context, Draft, Kind
from composemesh.config.schema.messages import Anything, Field, Message, Repeated, Said, later, required
from composemesh.config.schema.scalars import Host, Regex, Text, Words, words
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
SPEC = Message(
    {
        "parentRefs": Field(Repeated(PARENT), "Where the rules are in force."),
        "hostnames": Field(Repeated(Host()), "Names that callers use; any if unsaid."),
        "rules": Field(Repeated(RULE), "The rules."),
    }
)


def compile_grpc_route(context: Context, said: Said, draft: Draft) -> None:
    """Into the draft: a virtual host for each parent, the most specific match first."""
    rules: list[HttpRule] = []
    for rule in said.get("rules", ()):
        filters: tuple[Said, ...] = rule.get("filters", ())
        check_filters(context, filters, _TYPES)
        destinations, origin = arms(context, rule), context.origin(rule.path)
        rules += [
            HttpRule(
                matches=(match,),
                destinations=destinations,
                name=rule.get("name", ""),
                direct_response=None if destinations else NOWHERE_TO_GO,
                headers=headers(filters),
                mirrors=mirrors(context, filters),
                origin=origin,
            )
            for match in [_match(context, one) for one in rule.get("matches", ())] or [HttpMatch(origin=origin)]
        ]
    ordered = tuple(sorted(rules, key=lambda rule: precedence(rule.matches[0]), reverse=True))
    for virtual, there in virtual_hosts(context, said, ordered):
        draft.hosts.append((context, virtual, list(there)))


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


KIND = Kind("GRPCRoute", GROUP, SPEC, compile_grpc_route, VERSIONS)
