"""Answers of the mesh's own: what a rule says, a redirect, a preflight. Pure."""

from __future__ import annotations

from urllib.parse import quote

from composemesh.proxy.codec.parts import HTTP2, Fields, ResponseHead
from composemesh.proxy.refuse import GRPC_STATUS


def own_answer(status: int, fields: Fields, body: bytes = b"") -> tuple[ResponseHead, bytes]:
    """Head and body. A status that has no body has none (RFC 9110, 6.4.1)."""
    if status < 200 or status in (204, 304):
        body = b""
    elif body and all(name.lower() != b"content-type" for name, _ in fields):
        fields = [(b"content-type", b"text/plain"), *fields]
    if status not in (204, 304):
        fields = [*fields, (b"content-length", b"%d" % len(body))]
    return ResponseHead(status, b"", 11, [*fields, (b"server", b"composemesh")], {}, len(body), True, b""), body


def own_grpc_answer(status: int, fields: Fields, body: bytes = b"") -> tuple[ResponseHead, bytes]:
    """The same for a gRPC client: the status that goes with it, and the body as its message."""
    code = 0 if status == 200 else GRPC_STATUS.get(status, 2)
    said = [
        (b"content-type", b"application/grpc"),
        (b"grpc-status", b"%d" % code),
        *([(b"grpc-message", quote(body, safe=" ()/:,.").encode())] if body else []),
        (b"server", b"composemesh"),
    ]
    return ResponseHead(200, b"", HTTP2, [*fields, *said], {}, 0, True, b""), b""
