"""What telemetry is told of one exchange when it ends: exactly one record, whatever happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from composemesh.model.flag import Flag
from composemesh.model.peer import Peer, PeerKind

LONGEST_TEXT: Final = 2048
"""Bytes of a path or a header that a record keeps: an attacker's request must not fill the log."""

NO_HEADERS: Final[Mapping[str, str]] = {}


class Record:
    """One finished exchange. A plain slotted class: it lives for microseconds, on the request path."""

    __slots__ = (
        "attempts",
        "authority",
        "bytes_received",
        "bytes_sent",
        "destination",
        "details",
        "duration",
        "flag",
        "grpc_status",
        "headers",
        "http_version",
        "method",
        "path",
        "protocol",
        "request_id",
        "response_code",
        "route",
        "sni",
        "source",
        "start",
        "traceparent",
        "upstream_address",
        "upstream_duration",
        "user_agent",
        "x_forwarded_for",
    )

    def __init__(self, source: Peer, destination: Peer, protocol: str) -> None:
        self.source = source
        self.destination = destination
        """The workload that answered, or a peer of version and workload "unknown" where none was reached."""
        self.protocol = protocol
        """`http`, `grpc` or `tcp` (Istio's request_protocol); `mirror` for a copy that a rule made."""
        self.start = 0.0
        """Wall clock, seconds since the epoch."""
        self.duration = 0.0
        """Seconds from the first byte of the request to the last byte of the response."""
        self.upstream_duration = 0.0
        """Seconds until the upstream's head arrived; 0 where none did."""
        self.method = ""
        self.path = ""
        """The request target with its query, as received and bounded in length: escape before printing."""
        self.authority = ""
        self.response_code = 0
        """0 where no response was sent (Envoy's convention), and for TCP."""
        self.http_version = 0
        """10, 11 or 20; 0 for TCP."""
        self.grpc_status = -1
        """The `grpc-status` of the answer (Istio's grpc_response_status); -1 where there is none."""
        self.flag = Flag.NONE
        self.details = ""
        """More about the flag, where there is more to say (Envoy's %RESPONSE_CODE_DETAILS%): which filter failed."""
        self.bytes_received = 0
        """Body bytes from the downstream."""
        self.bytes_sent = 0
        """Body bytes to the downstream."""
        self.attempts = 0
        """How many times an endpoint was tried."""
        self.request_id = ""
        self.route = ""
        """The rule that decided, by its name or where it is written (Envoy's %ROUTE_NAME%); empty where none did."""
        self.headers: Mapping[str, str] = NO_HEADERS
        """Of the request, those that the rule that decided compares, but for secrets; others are not kept."""
        self.traceparent = ""
        self.upstream_address = ""
        self.sni = ""
        """Of a TLS connection that is passed on as it is: the server name that its client asks for."""
        self.user_agent = ""
        self.x_forwarded_for = ""

    def __repr__(self) -> str:
        return (
            f"<Record {self.source.service}→{self.destination.service} {self.protocol} "
            f"{self.method} {self.path} {self.response_code} {self.flag.value}>"
        )


def unreached(service: str) -> Peer:
    """The destination of an exchange that no workload of the service ever saw."""
    return Peer(service, "unknown", "unknown", PeerKind.SERVICE, captured=False)
