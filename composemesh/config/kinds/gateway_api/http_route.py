"""HTTPRoute of Gateway API. Its prefixes are of whole path segments, and the most specific match decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from composemesh.config.kinds.gateway_api.common import (
    FILTERS,
    arms,
    backend_ref,
    check_filters,
    headers,
    mirrors,
)
from composemesh.config.kinds.gateway_api.route import NAMED, NOWHERE_TO_GO, named, route_kind, text_match
from composemesh.config.kinds.kind import Context
from composemesh.config.schema.fields import Field, later, required
from composemesh.config.schema.messages import Anything, Message, Repeated, Said
from composemesh.config.schema.network import Host, PortNumber
from composemesh.config.schema.reading import dotted, show
from composemesh.config.schema.scalars import COUNT, HEADER_NAME, Duration, Flag, Number, Text, Words, words
from composemesh.model.policy import Retry
from composemesh.model.route import (
    Cors,
    HttpMatch,
    HttpRule,
    MatchKind,
    PortOfRedirect,
    Redirect,
    Rewrite,
    StringMatch,
)

_PATH_KINDS = Words(
    {"Exact": MatchKind.EXACT, "PathPrefix": MatchKind.SEGMENTS, "RegularExpression": MatchKind.REGEX}
)
_PATH = Message({"type": Field(_PATH_KINDS, "PathPrefix if unsaid."), "value": Field(Text(), "`/` if unsaid.")})
MATCH = Message(
    {
        "path": Field(_PATH, "The path, without its query."),
        "headers": Field(Repeated(NAMED), "Headers; all must match."),
        "queryParams": Field(Repeated(NAMED), "Parameters of the query; all must match."),
        "method": Field(
            words("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"), "The method."
        ),
    }
)
_MODIFIED = Message(
    {
        "type": required(words("ReplaceFullPath", "ReplacePrefixMatch"), "What is replaced."),
        "replaceFullPath": Field(Text(), "The new path."),
        "replacePrefixMatch": Field(Text(empty=True), "The new text of the prefix that matched."),
    },
    one_of=(("replaceFullPath", "replacePrefixMatch"),),
    some_of=("replaceFullPath", "replacePrefixMatch"),
)
_REDIRECT = Message(
    {
        "scheme": Field(words("http", "https"), "The new scheme."),
        "hostname": Field(Host(pattern=False), "The new host."),
        "path": Field(_MODIFIED, "The new path."),
        "port": Field(PortNumber(), "The new port; that of the new scheme if unsaid."),
        "statusCode": Field(Number(301, 308), "302 if unsaid."),
    }
)
_REWRITE = Message(
    {"hostname": Field(Host(pattern=False), "The new Host header."), "path": Field(_MODIFIED, "The new path.")}
)
_CORS = Message(
    {
        "allowOrigins": Field(Repeated(Text()), "Origins; `*` for any."),
        "allowMethods": Field(Repeated(Text()), "Access-Control-Allow-Methods."),
        "allowHeaders": Field(Repeated(HEADER_NAME), "Access-Control-Allow-Headers."),
        "exposeHeaders": Field(Repeated(HEADER_NAME), "Access-Control-Expose-Headers."),
        "maxAge": Field(COUNT, "Seconds."),
        "allowCredentials": Field(Flag(), "Access-Control-Allow-Credentials."),
    }
)
_TYPES = {
    "RequestHeaderModifier": "requestHeaderModifier",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "RequestMirror": "requestMirror",
    "RequestRedirect": "requestRedirect",
    "URLRewrite": "urlRewrite",
    "CORS": "cors",
    "ExtensionRef": "extensionRef",
}
FILTER = Message(
    {
        "type": required(words(*_TYPES), "Which one."),
        **FILTERS,
        "requestRedirect": Field(_REDIRECT, "An answer that sends the caller elsewhere."),
        "urlRewrite": Field(_REWRITE, "What the service is asked for instead."),
        "cors": Field(_CORS, "Requests of pages of other origins."),
    }
)
RULE = Message(
    {
        "name": Field(Text(), "For logs and `explain`."),
        "matches": Field(Repeated(MATCH), "Conditions; one that holds is enough."),
        "filters": Field(Repeated(FILTER), "What is done to requests and answers."),
        "backendRefs": Field(Repeated(backend_ref(FILTER)), "Where requests go."),
        "timeouts": Field(
            Message(
                {
                    "request": Field(Duration(zero=True), "For the whole request."),
                    "backendRequest": Field(Duration(zero=True), "For each try."),
                }
            ),
            "Time limits.",
        ),
        "retry": Field(
            Message(
                {
                    "codes": Field(Repeated(Number(400, 599)), "Statuses after which to try again."),
                    "attempts": Field(COUNT, "Tries after the first."),
                    "backoff": Field(Duration(), "Base of the wait between tries."),
                }
            ),
            "When a request is sent again.",
        ),
        "sessionPersistence": later(Anything(), "The same caller to the same endpoint."),
    }
)


def _match(context: Context, said: Said) -> HttpMatch:
    path: Said | None = said.get("path")
    uri = None
    if path is not None:
        kind, value = path.get("type", MatchKind.SEGMENTS), path.get("value", "/")
        if kind is not MatchKind.REGEX and not value.startswith("/"):
            message = f"{dotted(path.at('value'))} is {show(value)}, and must begin with `/`."
            context.refuse(path.at("value"), "wrong-value", message)
        uri = text_match(context, path, kind, value)
    return HttpMatch(
        uri=uri,
        method=StringMatch(MatchKind.EXACT, said["method"]) if "method" in said else None,
        headers={name.lower(): match for name, match in named(context, said, "headers").items()},
        query_params=named(context, said, "queryParams"),
        origin=context.origin(said.path),
    )


def _rule(context: Context, said: Said) -> HttpRule:
    filters: tuple[Said, ...] = said.get("filters", ())
    check_filters(context, filters, _TYPES)
    by_type = {one["type"]: one for one in filters}
    redirect, rewrite = by_type.get("RequestRedirect"), by_type.get("URLRewrite")
    if redirect is not None and (rewrite is not None or said.get("backendRefs")):
        other = "URLRewrite" if rewrite is not None else "backendRefs"
        message = f"{dotted(said.path)} has a RequestRedirect and `{other}`, and may have only one of them."
        context.refuse(redirect.path, "conflicting-fields", message)
    destinations = arms(context, said)
    timeouts = said.get("timeouts", {})
    return HttpRule(
        destinations=destinations,
        name=said.get("name", ""),
        redirect=_redirect(redirect.get("requestRedirect")) if redirect is not None else None,
        direct_response=NOWHERE_TO_GO if redirect is None and not destinations else None,
        rewrite=_rewrite(rewrite.get("urlRewrite")) if rewrite is not None else None,
        headers=headers(filters),
        timeout=timeouts.get("request"),
        retry=_retry(said.get("retry"), timeouts.get("backendRequest", 0.0)),
        mirrors=mirrors(context, filters),
        cors=_cors(by_type["CORS"].get("cors")) if "CORS" in by_type else None,
        origin=context.origin(said.path),
    )


def _redirect(said: Said | None) -> Redirect | None:
    if said is None:
        return None
    path = said.get("path", {})
    derive = PortOfRedirect.PROTOCOL_DEFAULT if "scheme" in said and "port" not in said else PortOfRedirect.UNCHANGED
    return Redirect(
        uri=path.get("replaceFullPath"),
        prefix=path.get("replacePrefixMatch"),
        authority=said.get("hostname", ""),
        port=said.get("port", 0),
        derive_port=derive,
        scheme=said.get("scheme", ""),
        code=said.get("statusCode", 302),
    )


def _rewrite(said: Said | None) -> Rewrite | None:
    if said is None:
        return None
    path, authority = said.get("path", {}), said.get("hostname", "")
    if "replaceFullPath" in path:
        # A prefix match has only its prefix replaced; the whole path takes an expression.
        return Rewrite(None, authority, "(?s)^.*$", path["replaceFullPath"].replace("\\", "\\\\"))
    return Rewrite(path.get("replacePrefixMatch"), authority)


def _retry(said: Said | None, per_try: float) -> Retry | None:
    if said is None:
        return Retry(per_try_timeout=per_try) if per_try else None
    statuses = frozenset(said.get("codes", ()))
    return Retry(said.get("attempts", 1), per_try, statuses=statuses, back_off=said.get("backoff", 0.025))


def _cors(said: Said | None) -> Cors | None:
    if said is None:
        return None
    origins = tuple(
        StringMatch(MatchKind.REGEX, ".*") if origin == "*" else StringMatch(MatchKind.EXACT, origin)
        for origin in said.get("allowOrigins", ())
    )
    return Cors(
        allow_origins=origins,
        allow_methods=said.get("allowMethods", ()),
        allow_headers=said.get("allowHeaders", ()),
        expose_headers=said.get("exposeHeaders", ()),
        max_age=float(said["maxAge"]) if "maxAge" in said else None,
        allow_credentials=said.get("allowCredentials"),
    )


def _rules(context: Context, said: Said) -> Iterator[HttpRule]:
    rule = _rule(context, said)
    for match in [_match(context, match) for match in said.get("matches", ())] or [HttpMatch(origin=rule.origin)]:
        yield replace(rule, matches=(match,))


KIND = route_kind("HTTPRoute", RULE, _rules)
