"""HTTPRoute: one entry of `http[]` of a VirtualService, as fields, and as a rule."""

from __future__ import annotations

import re
from typing import Any

from composemesh.config.kinds.common import DESTINATION, HEADERS, PERCENTAGE, destination, headers, percent_of
from composemesh.config.kinds.http_match import MATCH, TEXT_MATCH, matches
from composemesh.config.kinds.kind import Context, Delegation
from composemesh.config.schema.messages import (
    ANY,
    Field,
    Message,
    Repeated,
    Said,
    deprecated,
    later,
    nearest_word,
    refused,
    required,
    without_effect,
)
from composemesh.config.schema.scalars import (
    ANY_TEXT,
    COUNT,
    HEADER_NAME,
    LABEL,
    PERCENT,
    Base64,
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
from composemesh.config.schema.shapes import dotted, show
from composemesh.model.policy import RETRY_ON, Retry
from composemesh.model.route import (
    Abort,
    Cors,
    Delay,
    DirectResponse,
    Fault,
    HttpRule,
    MatchKind,
    Mirror,
    PortOfRedirect,
    Redirect,
    Rewrite,
    StringMatch,
    WeightedDestination,
)

STATUS = Number(200, 599)
_GRPC_NAMES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
GRPC_STATUS = {name: code for code, name in enumerate(_GRPC_NAMES)}
RETRY_WORDS = frozenset(
    {
        *("5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited"),
        *("retriable-4xx", "refused-stream", "retriable-status-codes", "retriable-headers"),
        *("http3-post-connect-failure", "cancelled", "deadline-exceeded", "internal", "resource-exhausted"),
        "unavailable",
    }
)
"""Envoy's words for HTTP and gRPC (x-envoy-retry-on, x-envoy-retry-grpc-on)."""
MAX_BODY = 1 << 20
NOT_IN_ISTIO = "Istio does not support it either."

HTTP_DESTINATION = Message(
    {
        "destination": required(DESTINATION, "Where requests go."),
        "weight": Field(COUNT, "The share, relative to the sum of all."),
        "headers": Field(HEADERS, "Header operations for this destination only."),
    }
)
REDIRECT = Message(
    {
        "uri": Field(ANY_TEXT, "The new path."),
        "prefixRewrite": Field(ANY_TEXT, "The new text of the prefix that matched."),
        "authority": Field(ANY_TEXT, "The new host."),
        "port": Field(PortNumber(), "The new port."),
        "derivePort": Field(
            Words(
                {
                    "FROM_PROTOCOL_DEFAULT": PortOfRedirect.PROTOCOL_DEFAULT,
                    "FROM_REQUEST_PORT": PortOfRedirect.REQUEST_PORT,
                }
            ),
            "Where the new port is taken from.",
        ),
        "scheme": Field(words("http", "https"), "The new scheme."),
        "redirectCode": Field(Number(300, 399), "The status; 301 if unsaid."),
    },
    one_of=(("uri", "prefixRewrite"), ("port", "derivePort")),
    some_of=ANY,
)
_BODY = Message(
    {"string": Field(ANY_TEXT, "The body as text."), "bytes": Field(Base64(), "The body in base64.")},
    one_of=(("string", "bytes"),),
)
DIRECT_RESPONSE = Message(
    {"status": required(STATUS, "The status."), "body": Field(_BODY, "The body; none if unsaid.")}
)
DELEGATE = Message(
    {
        "name": required(LABEL, "A VirtualService without hosts."),
        "namespace": without_effect(LABEL, "Its namespace.", "a project is one namespace."),
    }
)
REWRITE = Message(
    {
        "uri": Field(ANY_TEXT, "The new path, or the new text of the prefix that matched."),
        "authority": Field(Host(pattern=False), "The new Host header."),
        "uriRegexRewrite": Field(
            Message(
                {
                    "match": required(Regex(), "What is replaced in the path."),
                    "rewrite": required(Text(), r"By what; `\1` is the first group."),
                }
            ),
            "The path, by a regular expression.",
        ),
    },
    one_of=(("uri", "uriRegexRewrite"),),
    some_of=ANY,
)
RETRIES = Message(
    {
        "attempts": Field(COUNT, "Tries after the first; 0 for none."),
        "perTryTimeout": Field(Duration(), "For each try; the route's timeout if unsaid."),
        "retryOn": Field(ANY_TEXT, "Conditions and statuses, separated by commas."),
        "retryRemoteLocalities": later(Flag(), "Whether other localities are tried."),
        "retryIgnorePreviousHosts": Field(Flag(), "Whether endpoints that failed are passed over; true if unsaid."),
        "backoff": Field(Duration(), "Base of the wait between tries; 25ms if unsaid."),
    }
)
_DELAY = Message(
    {
        "fixedDelay": Field(Duration(), "How long."),
        "exponentialDelay": refused(Duration(), "The mean of a random delay.", NOT_IN_ISTIO),
        "percentage": Field(PERCENTAGE, "Of how many requests; none if unsaid."),
        "percent": deprecated(PERCENT, "Of how many requests.", "Write percentage: {value: …}."),
    },
    one_of=(("percentage", "percent"),),
)
_ABORT = Message(
    {
        "httpStatus": Field(STATUS, "The status of the answer."),
        "grpcStatus": Field(Words(GRPC_STATUS), "The gRPC status of the answer."),
        "http2Error": refused(Text(), "A code of HTTP/2.", NOT_IN_ISTIO),
        "percentage": Field(PERCENTAGE, "Of how many requests; none if unsaid."),
        "percent": deprecated(PERCENT, "Of how many requests.", "Write percentage: {value: …}."),
    },
    one_of=(("httpStatus", "grpcStatus", "http2Error"), ("percentage", "percent")),
)
FAULT = Message(
    {"delay": Field(_DELAY, "Hold requests back."), "abort": Field(_ABORT, "Answer with an error.")}, some_of=ANY
)
MIRROR = Message(
    {
        "destination": required(DESTINATION, "Where copies go."),
        "percentage": Field(PERCENTAGE, "Of how many requests; all if unsaid."),
    }
)
_CORS_NAMES = Repeated(HEADER_NAME)
CORS = Message(
    {
        "allowOrigins": Field(Repeated(TEXT_MATCH), "Origins that may read the answers."),
        "allowOrigin": deprecated(Repeated(Text()), "Origins, whole.", "Write allowOrigins: [{exact: …}]."),
        "allowMethods": Field(
            Repeated(words("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "*")),
            "Access-Control-Allow-Methods.",
        ),
        "allowHeaders": Field(_CORS_NAMES, "Access-Control-Allow-Headers."),
        "exposeHeaders": Field(_CORS_NAMES, "Access-Control-Expose-Headers."),
        "maxAge": Field(Duration(zero=True), "Access-Control-Max-Age; whole seconds."),
        "allowCredentials": Field(Flag(), "Access-Control-Allow-Credentials."),
        "unmatchedPreflights": Field(
            Words({"UNSPECIFIED": True, "FORWARD": True, "IGNORE": False}),
            "Whether preflights of other origins go on to the service.",
        ),
    },
    one_of=(("allowOrigins", "allowOrigin"),),
)

HTTP_ROUTE = Message(
    {
        "name": Field(Text(), "For logs and `explain`."),
        "match": Field(Repeated(MATCH), "Conditions; one that holds is enough."),
        "route": Field(Repeated(HTTP_DESTINATION), "Where requests go."),
        "redirect": Field(REDIRECT, "An answer that sends the caller elsewhere."),
        "directResponse": Field(DIRECT_RESPONSE, "An answer of the mesh's own."),
        "delegate": Field(DELEGATE, "Another VirtualService, whose rules decide."),
        "rewrite": Field(REWRITE, "What the service is asked for instead."),
        "timeout": Field(Duration(zero=True), "For the whole request, retries included; none if unsaid."),
        "retries": Field(RETRIES, "When a request is sent again."),
        "fault": Field(FAULT, "Errors on purpose."),
        "mirror": Field(DESTINATION, "Where copies of requests go."),
        "mirrorPercent": deprecated(PERCENT, "Of how many requests.", "Write mirrorPercentage: {value: …}."),
        "mirrorPercentage": Field(PERCENTAGE, "Of how many requests; all if unsaid."),
        "mirrors": Field(Repeated(MIRROR), "Several places for copies."),
        "corsPolicy": Field(CORS, "Requests of pages of other origins."),
        "headers": Field(HEADERS, "Header operations."),
    },
    one_of=(("mirror", "mirrors"), ("mirrorPercent", "mirrorPercentage")),
)


def http_rule(context: Context, said: Said) -> HttpRule | Delegation:
    """One entry of `http[]`; what contradicts itself is refused, in Istio's sense."""
    _check(context, said)
    rule = HttpRule(
        matches=matches(context, said),
        destinations=arms(context, said),
        name=said.get("name", ""),
        redirect=_redirect(context, said),
        direct_response=_direct(context, said.get("directResponse")),
        rewrite=_rewrite(context, said),
        headers=headers(context, said.get("headers")),
        timeout=said.get("timeout"),
        retry=_retry(context, said.get("retries")),
        fault=_fault(context, said.get("fault")),
        mirrors=_mirrors(context, said),
        cors=_cors(context, said.get("corsPolicy")),
        origin=context.origin(said.path),
    )
    if "delegate" in said:
        return Delegation(rule, said["delegate"]["name"], said.at("delegate"))
    return rule


def _check(context: Context, said: Said) -> None:
    """What may not stand side by side (Istio's validateHTTPRouteConflict)."""
    actions = [word for word in ("delegate", "redirect", "directResponse") if word in said]
    if not actions:
        if not said.get("route"):
            message = f"{dotted(said.path)} has no `route`, `redirect` or `directResponse`."
            context.refuse(said.path, "missing-field", message, "Say where its requests go.")
        return
    first, *others = actions
    others += [word for word in ("route",) if said.get(word)]
    if first != "delegate":
        others += [word for word in ("fault", "rewrite") if word in said]
    for word in others:
        message = f"{dotted(said.path)} has `{first}` and `{word}`, and may have only one of them."
        context.refuse(said.at(word), "conflicting-fields", message, "Put one of them into a rule of its own.")


def arms(context: Context, said: Said) -> tuple[WeightedDestination, ...]:
    """The destinations of a `route`, with weights that can be carried out."""
    route: tuple[Said, ...] = said.get("route", ())
    if len(route) > 1 and sum(arm.get("weight", 0) for arm in route) == 0:
        message = f"{dotted(said.at('route'))}: the weights of its destinations add up to 0."
        context.refuse(said.at("route"), "wrong-value", message, "Give each destination a weight.")
    return tuple(
        WeightedDestination(
            destination(context, arm["destination"]), arm.get("weight", 0), headers(context, arm.get("headers"))
        )
        for arm in route
    )


def _redirect(context: Context, rule: Said) -> Redirect | None:
    said = rule.get("redirect")
    if said is None:
        return None
    if "prefixRewrite" in said:
        for match in rule.get("match", ()):
            if "uri" in match and match["uri"].kind is not MatchKind.PREFIX:
                message = f"{dotted(said.at('prefixRewrite'))} needs a `prefix` in every `uri` of the rule's matches."
                context.refuse(said.at("prefixRewrite"), "conflicting-fields", message)
    return Redirect(
        uri=said.get("uri"),
        prefix=said.get("prefixRewrite"),
        authority=said.get("authority", ""),
        port=said.get("port", 0),
        derive_port=said.get("derivePort", PortOfRedirect.UNCHANGED),
        scheme=said.get("scheme", ""),
        code=said.get("redirectCode", 301),
    )


def _direct(context: Context, said: Said | None) -> DirectResponse | None:
    if said is None:
        return None
    body = said.get("body", {})
    content = body.get("string", "").encode() or body.get("bytes", b"")
    if len(content) > MAX_BODY:
        context.refuse(said.at("body"), "wrong-value", f"{dotted(said.at('body'))} has more than 1 MiB.")
    return DirectResponse(said["status"], content)


def _rewrite(context: Context, rule: Said) -> Rewrite | None:
    said = rule.get("rewrite")
    authorities = [said.get("authority", "")] if said else []
    change = rule.get("headers", {}).get("request", {})
    for verb in ("set", "add"):
        authorities += [
            value for name, value in change.get(verb, {}).items() if name.lower() in ("host", ":authority")
        ]
    if len([authority for authority in authorities if authority]) > 1:
        message = f"{dotted(rule.path)} sets the authority more than once."
        context.refuse(rule.at("headers"), "conflicting-fields", message, "Set it in one place.")
    if said is None:
        return None
    regex = said.get("uriRegexRewrite", {})
    return Rewrite(said.get("uri"), said.get("authority", ""), regex.get("match", ""), regex.get("rewrite", ""))


def _retry(context: Context, said: Said | None) -> Retry | None:
    if said is None:
        return None
    attempts = said.get("attempts", 0)
    if attempts == 0 and {"perTryTimeout", "retryOn"} & said.keys():
        message = f"{dotted(said.path)} says how to try again, but with `attempts` at 0 never does."
        context.refuse(said.path, "conflicting-fields", message, "Write attempts: 2, or leave the rest out.")
    on, statuses = set(), set()
    for word in re.split(r"[,\s]+", said.get("retryOn", "").strip(", \t\n")):
        if word in RETRY_WORDS:
            on.add(word)
        elif re.fullmatch(r"[1-5][0-9]{2}", word):
            statuses.add(int(word))
        elif word:
            message = f"{dotted(said.at('retryOn'))}: {show(word)} is no condition to retry on."
            hint = nearest_word(word, sorted(RETRY_WORDS))
            context.refuse(said.at("retryOn"), "wrong-value", message, hint)
    return Retry(
        attempts=attempts,
        per_try_timeout=said.get("perTryTimeout", 0.0),
        on=frozenset(on) if said.get("retryOn") else RETRY_ON,
        statuses=frozenset(statuses),
        back_off=said.get("backoff", 0.025),
        ignore_previous_hosts=said.get("retryIgnorePreviousHosts", True),
    )


def _fault(context: Context, said: Said | None) -> Fault | None:
    if said is None:
        return None
    delay, abort = said.get("delay"), said.get("abort")
    made = Fault()
    if delay is not None and (percent := _share(context, delay)) is not None:
        if "fixedDelay" not in delay:
            context.refuse(delay.path, "missing-field", f"{dotted(delay.at('fixedDelay'))} is missing.")
        made = Fault(delay=Delay(delay.get("fixedDelay", 0.0), percent))
    if abort is not None and (percent := _share(context, abort)) is not None:
        if not {"httpStatus", "grpcStatus"} & abort.keys():
            message = f"{dotted(abort.path)} has neither `httpStatus` nor `grpcStatus`, and aborts nothing."
            context.warn(abort.path, "without-effect", message, "Write httpStatus: 503.")
        else:
            status = abort.get("httpStatus", 0)
            made = Fault(made.delay, Abort(percent, status, abort.get("grpcStatus", -1)))
    return made if made != Fault() else None


def _share(context: Context, said: Said) -> float | None:
    """Of how many requests; None, with a warning, where that is unsaid: Istio then injects nothing."""
    if "percent" in said:
        return float(said["percent"])
    if "percentage" in said:
        return percent_of(said["percentage"])
    message = f"{dotted(said.path)} has no `percentage`, and is injected into no request."
    context.warn(said.path, "without-effect", message, "Write percentage: {value: 100}.")
    return None


def _mirrors(context: Context, said: Said) -> tuple[Mirror, ...]:
    if "mirror" in said:
        percent = said.get("mirrorPercent")
        share = percent_of(said.get("mirrorPercentage"), 100.0) if percent is None else float(percent)
        return (Mirror(destination(context, said["mirror"]), share),)
    return tuple(
        Mirror(destination(context, mirror["destination"]), percent_of(mirror.get("percentage"), 100.0))
        for mirror in said.get("mirrors", ())
    )


def _cors(context: Context, said: Said | None) -> Cors | None:
    if said is None:
        return None
    age: float | None = said.get("maxAge")
    if age is not None and age != int(age):
        context.refuse(said.at("maxAge"), "wrong-value", f"{dotted(said.at('maxAge'))} must be of whole seconds.")
    exact = tuple(StringMatch(MatchKind.EXACT, origin) for origin in said.get("allowOrigin", ()))
    origins: tuple[Any, ...] = said.get("allowOrigins", ()) or exact
    wildcard = StringMatch(MatchKind.REGEX, ".*")
    return Cors(
        allow_origins=tuple(wildcard if origin == _ANY_ORIGIN else origin for origin in origins),
        allow_methods=said.get("allowMethods", ()),
        allow_headers=said.get("allowHeaders", ()),
        expose_headers=said.get("exposeHeaders", ()),
        max_age=age,
        allow_credentials=said.get("allowCredentials"),
        forward_unmatched_preflights=said.get("unmatchedPreflights", True),
    )


_ANY_ORIGIN = StringMatch(MatchKind.EXACT, "*")
"""What `allowOrigin: ["*"]`, and many a file today, means by it."""
