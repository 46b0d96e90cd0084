"""Telemetry: what is measured, traced and logged. Its shape is checked; it is not carried out yet."""

from __future__ import annotations

from composemesh.config.kinds.authorization_policy import ONE_TARGET, TARGETS
from composemesh.config.kinds.kind import Kind
from composemesh.config.schema.fields import Field, required
from composemesh.config.schema.messages import Message, Repeated, Table
from composemesh.config.schema.scalars import ANY_TEXT, SHARE, Duration, Flag, Text, words

_MODE = words("CLIENT_AND_SERVER", "CLIENT", "SERVER")
_MATCH = Message({"mode": Field(_MODE, "At whose side.")})
_PROVIDERS = Field(Repeated(Message({"name": required(Text(), "Name.")})), "Where to.")
_LITERAL = Message({"value": required(Text(), "Value.")})
_NAMED = Message({"name": required(Text(), "Name."), "defaultValue": Field(ANY_TEXT, "Otherwise.")})
_TAG = Message(
    {
        "literal": Field(_LITERAL, "A text."),
        "environment": Field(_NAMED, "A variable."),
        "header": Field(_NAMED, "A header."),
        "formatter": Field(_LITERAL, "A format of Envoy's."),
    },
    one_of=(("literal", "environment", "header", "formatter"),),
)
TRACING = Message(
    {
        "match": Field(_MATCH, "Which requests."),
        "providers": _PROVIDERS,
        "randomSamplingPercentage": Field(SHARE, "Of how many requests."),
        "disableSpanReporting": Field(Flag(), "Whether to trace at all."),
        "customTags": Field(Table(_TAG), "Tags of spans."),
        "useRequestIdForTraceSampling": Field(Flag(), "Whether x-request-id decides."),
        "enableIstioTags": Field(Flag(), "Istio's own tags."),
        "disableContextPropagation": Field(Flag(), "Whether headers are passed on."),
    }
)
_METRICS = words(
    *("ALL_METRICS", "REQUEST_COUNT", "REQUEST_DURATION", "REQUEST_SIZE", "RESPONSE_SIZE", "TCP_OPENED_CONNECTIONS"),
    *("TCP_CLOSED_CONNECTIONS", "TCP_SENT_BYTES", "TCP_RECEIVED_BYTES", "GRPC_REQUEST_MESSAGES"),
    "GRPC_RESPONSE_MESSAGES",
)
_SELECTOR = Message(
    {
        "metric": Field(_METRICS, "One of Istio's."),
        "customMetric": Field(Text(), "Another."),
        "mode": Field(_MODE, "At whose side."),
    },
    one_of=(("metric", "customMetric"),),
)
_TAG_OVERRIDE = Message(
    {"operation": Field(words("UPSERT", "REMOVE"), "What to do."), "value": Field(Text(), "CEL.")}
)
_OVERRIDE = Message(
    {
        "match": Field(_SELECTOR, "Which metric."),
        "disabled": Field(Flag(), "Whether it is left out."),
        "tagOverrides": Field(Table(_TAG_OVERRIDE), "Its labels."),
    }
)
METRICS = Message(
    {
        "providers": _PROVIDERS,
        "overrides": Field(Repeated(_OVERRIDE), "What differs."),
        "reportingInterval": Field(Duration(), "For TCP."),
    }
)
ACCESS_LOGGING = Message(
    {
        "match": Field(_MATCH, "Which requests."),
        "providers": _PROVIDERS,
        "disabled": Field(Flag(), "Whether nothing is logged."),
        "filter": Field(Message({"expression": Field(Text(), "CEL.")}), "Which requests."),
    }
)
SPEC = Message(
    {
        **TARGETS,
        "tracing": Field(Repeated(TRACING), "Traces."),
        "metrics": Field(Repeated(METRICS), "Metrics."),
        "accessLogging": Field(Repeated(ACCESS_LOGGING), "Logs."),
    },
    one_of=ONE_TARGET,
)

KIND = Kind("Telemetry", "telemetry.istio.io", SPEC, versions=("v1alpha1", "v1"), spec_required=False)
