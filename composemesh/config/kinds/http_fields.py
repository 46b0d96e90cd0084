"""HTTPRoute, one entry of `http[]` of a VirtualService: its fields."""

from __future__ import annotations

from composemesh.config.kinds.common import DESTINATION, HEADERS, PERCENTAGE
from composemesh.config.kinds.http_match import MATCH, TEXT_MATCH
from composemesh.config.schema import short
from composemesh.config.schema.fields import Field, deprecated, later, refused, required, without_effect
from composemesh.config.schema.messages import ANY, Message, Repeated
from composemesh.config.schema.network import Host, PortNumber
from composemesh.config.schema.scalars import (
    ANY_TEXT,
    COUNT,
    HEADER_NAME,
    LABEL,
    PERCENT,
    Base64,
    Duration,
    Flag,
    Number,
    Regex,
    Text,
    Words,
    words,
)
from composemesh.model.route import PortOfRedirect

STATUS = Number(200, 599)
_GRPC_NAMES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
GRPC_STATUS = {name: code for code, name in enumerate(_GRPC_NAMES)}
RETRY_WORDS = frozenset(
    {*short.RETRY_WORDS, "retriable-status-codes", "retriable-headers", "http3-post-connect-failure"}
)
"""Envoy's words for HTTP and gRPC (x-envoy-retry-on, x-envoy-retry-grpc-on): those of `x-mesh`, and three that only
documents of Istio's can say."""
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
    },
    wanted="a mapping like {attempts: 3}",
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
