"""Failures know their answer: how an exchange can fail, and the one table from flag to status and text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from composemesh.model.flag import Flag
from composemesh.proxy.codec.given import given_name, given_value
from composemesh.proxy.codec.parts import HTTP2, ResponseHead

ANSWERS: Final[dict[Flag, tuple[int, str]]] = {
    Flag.NO_HEALTHY_UPSTREAM: (503, "no healthy upstream"),
    Flag.UPSTREAM_OVERFLOW: (503, "upstream overflow"),
    Flag.UPSTREAM_RETRY_LIMIT_EXCEEDED: (503, "upstream failed, retries included"),
    Flag.UPSTREAM_CONNECTION_FAILURE: (503, "upstream connect error"),
    Flag.UPSTREAM_CONNECTION_TERMINATION: (503, "upstream closed the connection before it answered"),
    Flag.UPSTREAM_PROTOCOL_ERROR: (502, "upstream sent what is not HTTP"),
    Flag.UPSTREAM_REQUEST_TIMEOUT: (504, "upstream request timeout"),
    Flag.NO_ROUTE_FOUND: (404, "no route"),
    Flag.NO_CLUSTER_FOUND: (503, "no such destination"),
    Flag.FAULT_INJECTED: (500, "fault filter abort"),
    Flag.DOWNSTREAM_PROTOCOL_ERROR: (400, "malformed request"),
    Flag.OVERLOAD_MANAGER: (503, "overloaded"),
    Flag.FILTER_FAILED: (500, "filter failed"),
}
"""What a client is told when the mesh itself answers (Envoy's statuses and words, where it has them)."""
GRPC_STATUS: Final = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
"""HTTP status → gRPC status, as Envoy and gRPC's own mapping have it; all others are UNKNOWN (2)."""
DEADLINE_EXCEEDED: Final = 4
HTTP_OF_GRPC: Final = (200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401)
"""The other way round, for callers that don't speak gRPC (Envoy's grpcToHttpStatus)."""


OVERLOADED: Final = (b"x-envoy-overloaded", b"true")
"""Tells the caller that its request went nowhere because there are too many."""


class Refused(Exception):
    """The exchange ends here, with an answer of the mesh's own."""

    def __init__(self, flag: Flag, detail: str = "", status: int = 0, *, grpc_status: int = -1) -> None:
        super().__init__(flag, detail)
        self.flag = flag
        self.grpc_status = grpc_status
        """-1 for the one that goes with the HTTP status."""
        self.detail = detail
        self.status = status or ANSWERS[flag][0]
        self.text = f"{ANSWERS[flag][1]}: {detail}" if detail else ANSWERS[flag][1]


class Moved(Refused):
    """The exchange ends here, with the word where to come instead."""

    def __init__(self, location: bytes) -> None:
        Exception.__init__(self, location)
        self.flag = Flag.NONE
        self.grpc_status = -1
        self.status = 301
        self.text = "moved to HTTPS"
        self.location = location


class Reply(Refused):
    """The exchange ends here, with the answer that a filter gives. Nothing has failed.

    Filters raise it: from `on_request` or from `around` before `then()`, and the request goes nowhere; from
    `on_response`, and the client gets this instead of what came. Once an answer began, the client sees it cut.
    """

    def __init__(self, status: int, body: bytes | str = b"", headers: Mapping[str, str] | None = None) -> None:
        """`status` 200 to 599. A gRPC client gets the gRPC status that goes with it, and the body as its message.

        Raises ValueError for what can be no answer.
        """
        if not 200 <= status <= 599:
            raise ValueError(f"{status} is the status of no answer")
        Exception.__init__(self, status)
        self.flag = Flag.NONE
        self.grpc_status = 0 if status == 200 else -1
        self.status = status
        self.body = body.encode() if isinstance(body, str) else bytes(body)
        self.detail = ""
        self.text = self.body.decode("utf-8", "replace")
        self.fields = [(given_name(name), given_value(value)) for name, value in (headers or {}).items()]

    def answer(self) -> tuple[ResponseHead, bytes]:
        """Head and body. A status that has no body has none (RFC 9110, 6.4.1)."""
        body, fields = self.body, self.fields
        if self.status in (204, 304):
            body = b""
        else:
            if body and all(name != b"content-type" for name, _ in fields):
                fields = [*fields, (b"content-type", b"text/plain; charset=utf-8")]
            fields = [*fields, (b"content-length", b"%d" % len(body))]
        return ResponseHead(
            self.status, b"", 11, [*fields, (b"server", b"composemesh")], {}, len(body), True, b""
        ), body


class Broken(Exception):
    """The upstream ended before a byte of the answer: another try may be possible."""

    def __init__(self, flag: Flag, detail: str, *, connected: bool = True, unsent: bool = False) -> None:
        super().__init__(flag, detail)
        self.flag = flag
        self.detail = detail
        self.connected = connected
        """Whether a connection stood, so that the request may have been carried out."""
        self.unsent = unsent
        """Whether it certainly was not: the kernel, or the other side in so many words, did not take the request."""


class Again(Exception):
    """What the upstream answered is kept from the caller, and another try is made."""


class Cut(Exception):
    """The answer began and could not be finished: the client must see it cut, never short but complete."""

    def __init__(self, flag: Flag) -> None:
        super().__init__(flag)
        self.flag = flag


def http_of_grpc(status: int) -> int:
    """The HTTP status that a gRPC status counts as."""
    return HTTP_OF_GRPC[status] if 0 <= status < len(HTTP_OF_GRPC) else 500


def grpc_refusal(refused: Refused) -> tuple[ResponseHead, bytes]:
    """The same for a gRPC client, which looks for its status in the head of an answer without a body."""
    status = refused.grpc_status
    if status < 0:
        timed_out = refused.flag is Flag.UPSTREAM_REQUEST_TIMEOUT
        status = DEADLINE_EXCEEDED if timed_out else GRPC_STATUS.get(refused.status, 2)
    said = refused.text if isinstance(refused, Reply) else f"{refused.text} ({refused.flag.value})"
    message = quote(said, safe=" ()/:,.").encode()
    fields = [
        *((field for field in refused.fields if field[0] != b"content-type") if isinstance(refused, Reply) else ()),
        (b"content-type", b"application/grpc"),
        (b"grpc-status", b"%d" % status),
        (b"grpc-message", message),
        (b"server", b"composemesh"),
    ]
    if refused.flag is Flag.UPSTREAM_OVERFLOW:
        fields.append(OVERLOADED)
    return ResponseHead(200, b"", HTTP2, fields, {}, 0, True, b""), b""


def refusal(refused: Refused) -> tuple[ResponseHead, bytes]:
    """The mesh's own answer, head and body: what is wrong in words, and the flag for machines."""
    if isinstance(refused, Reply):
        return refused.answer()
    body = f"{refused.text} ({refused.flag.value})\n".encode()
    fields = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"x-composemesh-flag", refused.flag.value.encode()),
        (b"server", b"composemesh"),
    ]
    if isinstance(refused, Moved):
        fields.append((b"location", refused.location))
    if refused.flag is Flag.UPSTREAM_OVERFLOW:
        fields.append(OVERLOADED)
    return ResponseHead(refused.status, b"", 11, fields, {}, len(body), True, b""), body
