"""Why an exchange ended the way it did, in Envoy's letters."""

from __future__ import annotations

import enum


class Flag(enum.StrEnum):
    """Envoy's RESPONSE_FLAGS; `-` in logs and metrics where there is none."""

    NONE = "-"
    NO_HEALTHY_UPSTREAM = "UH"
    UPSTREAM_CONNECTION_FAILURE = "UF"
    UPSTREAM_CONNECTION_TERMINATION = "UC"
    UPSTREAM_OVERFLOW = "UO"
    UPSTREAM_REQUEST_TIMEOUT = "UT"
    UPSTREAM_RETRY_LIMIT_EXCEEDED = "URX"
    UPSTREAM_PROTOCOL_ERROR = "UPE"
    NO_ROUTE_FOUND = "NR"
    NO_CLUSTER_FOUND = "NC"
    DELAY_INJECTED = "DI"
    FAULT_INJECTED = "FI"
    DOWNSTREAM_CONNECTION_TERMINATION = "DC"
    DOWNSTREAM_PROTOCOL_ERROR = "DPE"
    OVERLOAD_MANAGER = "OM"
    STREAM_IDLE_TIMEOUT = "SI"
    DURATION_TIMEOUT = "DT"
    FILTER_FAILED = "FF"
    """Ours: a plugin's filter raised, or took too long; the record's `details` name it."""
