"""HTTPRoute of Gateway API. Its prefixes are of whole path segments, and the most specific match decides."""

from __future__ import annotations

from dataclasses import replace

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
from composemesh.config.kinds.kind import Context, Draft, Kind
from composemesh.config.schema.messages import Anything, Field, Message, Repeated, Said, later, required
from composemesh.config.schema.reading import dotted, show
from composemesh.config.schema.scalars import (
    COUNT,
    HEADER_NAME,
    Duration,
    Flag,
    Host,
    Number,
    PortNumber,
    Regex,
    Text,
    Words,
    words,
)
from composemesh.model.policy import Retry
from composemesh.model.route import (
    Cors,
    DirectResponse,
    HttpMatch,
    HttpRule,
    MatchKind,
    PortOfRedirect,
    Redirect,
    Rewrite,
    StringMatch,
)

NOWHERE_TO_GO = DirectResponse(500)
"""A rule without backends, as Gateway API has it."""
_KINDS = Words({"Exact": MatchKind.EXACT, "RegularExpression": MatchKind.REGEX})
_PATH_KINDS = Words(
    {"Exact": MatchKind.EXACT, "PathPrefix": MatchKind.SEGMENTS, "RegularExpression": MatchKind.REGEX}
)
_PATH = Message({"type": Field(_PATH_KINDS, "PathPrefix if unsaid."), "value": Field(Text(), "`/` if unsaid.")})
NAMED = Message(
    {
        "type": Field(_KINDS, "Exact if unsaid."),
        "name": required(HEADER_NAME, "Name."),
        "value": required(Text(), "Value."),
    }
)
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
SPEC = Message(
    {
        "parentRefs": Field(Repeated(PARENT), "Where the rules are in force."),
        "hostnames": Field(Repeated(Host()), "Names that callers use; any if unsaid."),
        "rules": Field(Repeated(RULE), "The rules."),
    }
)


def compile_http_route(context: Context, said: Said, draft: Draft) -> None:
    """Into the draft: a virtual host for each parent, the most specific match first."""
    rules: list[HttpRule] = []
    for rule in said.get("rules", ()):
        made = _rule(context, rule)
        matches = [_match(context, match) for match in rule.get("matches", ())] or [HttpMatch(origin=made.origin)]
        rules += [replace(made, matches=(match,)) for match in matches]
    ordered = tuple(sorted(rules, key=lambda rule: precedence(rule.matches[0]), reverse=True))
    for virtual, there in virtual_hosts(context, said, ordered):
        draft.hosts.append((context, virtual, list(there)))


def _match(context: Context, said: Said) -> HttpMatch:
    path: Said | None = said.get("path")
    uri = None
    if path is not None:
        kind, value = path.get("type", MatchKind.SEGMENTS), path.get("value", "/")
        if kind is not MatchKind.REGEX and not value.startswith("/"):
            message = f"{dotted(path.at('value'))} is {show(value)}, and must begin with `/`."
            context.refuse(path.at("value"), "wrong-value", message)
        uri = _text(context, path, kind, value)
    return HttpMatch(
        uri=uri,
        method=StringMatch(MatchKind.EXACT, said["method"]) if "method" in said else None,
        headers={name.lower(): match for name, match in named(context, said, "headers").items()},
        query_params=named(context, said, "queryParams"),
        origin=context.origin(said.path),
    )


def named(context: Context, said: Said, word: str) -> dict[str, StringMatch]:
    """Matches by name; of several with one name the first counts, as Gateway API has it."""
    found: dict[str, StringMatch] = {}
    for entry in said.get(word, ()):
        match = _text(context, entry, entry.get("type", MatchKind.EXACT), entry["value"])
        found.setdefault(entry["name"], match)
    return found


def _text(context: Context, said: Said, kind: MatchKind, value: str) -> StringMatch:
    if kind is MatchKind.REGEX:
        Regex().read(said.at("value"), value, context.reading)
    return StringMatch(kind, value)


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


KIND = Kind("HTTPRoute", GROUP, SPEC, compile_http_route, VERSIONS)
