"""Heads of HTTP/1.1 messages: bytes → `RequestHead` or `ResponseHead`, and our own back to bytes.

Accepting is the hot path: one expression looks at every byte of a head, a second takes the fields apart. Why a head
was refused is found out by `why`, and heads in pieces are put together by `collect`.
"""

from __future__ import annotations

import functools
import http
from collections.abc import Iterable
from typing import Final

from composemesh.proxy.codec import why
from composemesh.proxy.codec.collect import HeadBuffer
from composemesh.proxy.codec.grammar import (
    ABSOLUTE,
    REQUEST,
    RESPONSE,
    SINGLE_IN_REQUESTS,
    SINGLE_IN_RESPONSES,
    SPLIT,
    is_authority,
    is_destination,
    is_length,
    is_same_authority,
)
from composemesh.proxy.codec.parts import (
    CHUNKED,
    LIMITS,
    UNTIL_CLOSE,
    Fields,
    Limits,
    Malformed,
    RequestHead,
    ResponseHead,
)

__all__ = ["REASONS", "HeadBuffer", "encode_request", "encode_response", "parse_request", "parse_response"]

REASONS: Final[dict[int, bytes]] = {status.value: status.phrase.encode() for status in http.HTTPStatus}
"""The standard reason phrases."""

_request: Final = REQUEST.fullmatch
_response: Final = RESPONSE.fullmatch
_split: Final = SPLIT.findall


def parse_request(head: bytes, limits: Limits = LIMITS) -> RequestHead:
    """Understand a request head, its empty line included. Raises Malformed."""
    found = _request(head)
    if found is None or len(head) > limits.head:
        raise why.request_refused(head, limits)
    method, target, minor = found.groups()
    end = found.end(3)
    fields = _split(head, end + 2)
    if len(fields) > limits.fields or (end > limits.line and end - found.start(1) > limits.line):
        raise why.request_refused(head, limits)
    values = {name.lower(): value for name, value in fields}
    if len(values) != len(fields):
        values = _joined(fields, SINGLE_IN_REQUESTS)
    version = 11 if minor == b"1" else 10

    host = values.get(b"host")
    if host is None:
        if version == 11:
            raise Malformed(400, "no Host field")
        host = b""
    elif not is_authority(host):
        raise Malformed(400, "invalid Host field")
    if target[0] == _SLASH and method != b"CONNECT" and method != b"PRI":
        authority, path = host, target
    else:
        authority, path = _other_target(method, target, host, version)

    if host and _FRAMING.isdisjoint(values):  # most requests: two questions instead of five
        return RequestHead(method, target, version, fields, values, authority, path, 0, version == 11, False, b"")
    length = _body(values, version, limits)
    body = length or 0
    if body and method == b"CONNECT":
        raise Malformed(400, "CONNECT with a body")  # which some take for the tunnel's first bytes (RFC 9110, 9.3.6)
    connection = values.get(b"connection")
    if connection is None:
        keep_alive, upgrade = version == 11, b""
    else:
        keep_alive, upgrading = _connection(connection, version)
        # In HTTP/1.0 an Upgrade field MUST be ignored (RFC 9110, 7.8), and so must Expect (10.1.1). With a body it
        # may be, and is: there are servers that take the body for the first bytes of the other protocol.
        upgrade = values.get(b"upgrade", b"").lower() if upgrading and version == 11 and not body else b""
    if version == 10 and (keep_alive or not host):
        _check_old(method, length)
    expects = body != 0 and version == 11 and values.get(b"expect", b"").lower() == b"100-continue"
    return RequestHead(method, target, version, fields, values, authority, path, body, keep_alive, expects, upgrade)


def parse_response(head: bytes, method: bytes, limits: Limits = LIMITS) -> ResponseHead:
    """Understand a response head, given the method of the request that it answers. Raises Malformed."""
    found = _response(head)
    if found is None or len(head) > limits.head:
        raise why.response_refused(head, limits)
    line = found[1]
    fields = _split(head, len(line) + 2)
    if len(fields) > limits.fields or len(line) > limits.line + len(b"HTTP/1.1 200 "):
        raise why.response_refused(head, limits)
    values = {name.lower(): value for name, value in fields}
    if len(values) != len(fields):
        values = _joined(fields, SINGLE_IN_RESPONSES)
    version, status, reason = _status(line) if len(line) < _SHORT else _status.__wrapped__(line)

    connection = values.get(b"connection")
    if connection is None:
        keep_alive, upgrading = version == 11, False
    else:
        keep_alive, upgrading = _connection(connection, version)
    body = _body(values, version, limits)
    upgrade = b""
    if status < 200 or status == 204:
        # No such response has a body, and saying that it has is how one becomes two (RFC 9112, 6.3, rule 1).
        if body:
            raise Malformed(400, "a body where none can be")
        body = 0
        if status == 101:
            upgrade = values.get(b"upgrade", b"").lower()
            if not upgrade or not upgrading or version == 10:
                raise Malformed(400, "101 without Upgrade")
            keep_alive = False
    elif status == 304 or method == b"HEAD":
        body = 0
    elif body is None or (method == b"CONNECT" and status < 300):
        body, keep_alive = UNTIL_CLOSE, False
    return ResponseHead(status, reason, version, fields, values, body, keep_alive, upgrade)


_SLASH: Final = ord("/")
_ONE: Final = ord("1")
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"connection"})
"""What says that more comes than a head, or that the connection does not just go on."""


def _joined(fields: Fields, single: tuple[bytes, ...]) -> dict[bytes, bytes]:
    """Lowercase name → value, where names repeat: their values are joined as RFC 9110, 5.3 says. Raises Malformed.

    A repeated Transfer-Encoding thereby becomes a value that its own check refuses.
    """
    several: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        lower = name.lower()
        if lower not in several:
            several[lower] = [value]
        elif lower in single:
            raise why.twice(lower)
        else:
            several[lower].append(value)
    return {name: b", ".join(each) for name, each in several.items()}


_SHORT: Final = 64
"""Bytes of a status line worth remembering: servers have few of these, and say them all day."""


@functools.lru_cache(256)
def _status(line: bytes) -> tuple[int, int, bytes]:
    """Version, status and reason of a status line that is one."""
    return 11 if line[7] == _ONE else 10, int(line[9:12]), line[13:]


def _other_target(method: bytes, target: bytes, host: bytes, version: int) -> tuple[bytes, bytes]:
    """Authority and path of a target that is not just a path (RFC 9112, 3.2). Raises Malformed."""
    if method == b"PRI":
        raise Malformed(400, "method reserved for HTTP/2")  # RFC 9113, 11.6
    if method == b"CONNECT":
        if not is_destination(target):
            raise Malformed(400, "CONNECT to what is no host and port")
        return target, b""
    if target == b"*":
        if method != b"OPTIONS":
            raise Malformed(400, "target * without OPTIONS")
        return host, target
    found = ABSOLUTE.fullmatch(target)
    # Userinfo is refused with the rest: it serves to make one host look like another (RFC 9110, 4.2.4).
    if found is None or not is_authority(found[2]):
        raise Malformed(400, "invalid request target")
    scheme, authority, path = found.groups()
    # The field MUST say the same (RFC 9112, 3.2): by one of them goes the proxy, and by the other many a server. To
    # HTTP/1.0 the field means nothing, and the target alone counts.
    if version == 11 and not is_same_authority(authority, host, scheme.lower()):
        raise Malformed(400, "target for another host than Host")
    if not path and method == b"OPTIONS":
        return authority, b"*"
    return authority, path if path.startswith(b"/") else b"/" + path


@functools.lru_cache(64)
def _connection(value: bytes, version: int) -> tuple[bool, bool]:
    """Whether the connection persists (RFC 9112, 9.3), and whether an upgrade is meant (RFC 9110, 7.8)."""
    options = [option.strip(b" \t") for option in value.lower().split(b",")]
    keep_alive = b"close" not in options and (version == 11 or b"keep-alive" in options)
    return keep_alive, b"upgrade" in options


_HAS_A_BODY: Final = frozenset({b"POST", b"PUT", b"PATCH"})
_HAS_NO_BODY: Final = frozenset({b"GET", b"HEAD", b"DELETE"})


def _check_old(method: bytes, length: int | None) -> None:
    """Refuse what RFC 1945 lets HTTP/1.0 read otherwise than RFC 9112, 6.3 lets us. Raises Malformed.

    In it a POST must say how long it is (8.3), or its body passes for none; and its other methods have no body, so
    that many an agent takes one for the next request. Not asked of a request that names its host and is its
    connection's last: that is nginx, which speaks 1.0 for callers that know better, and nothing follows it.
    """
    if length is None and method in _HAS_A_BODY:
        raise Malformed(411, "HTTP/1.0 without Content-Length where a body is meant")
    if length and method in _HAS_NO_BODY:
        raise Malformed(400, "HTTP/1.0 with a body where none is meant")


def _body(values: dict[bytes, bytes], version: int, limits: Limits) -> int | None:
    """The length of the body, CHUNKED, or None where neither is said (RFC 9112, 6.3). Raises Malformed."""
    length = values.get(b"content-length")
    coding = values.get(b"transfer-encoding")
    if coding is not None:
        if length is not None:
            raise Malformed(400, "both Content-Length and Transfer-Encoding")
        if version == 10:
            raise Malformed(400, "Transfer-Encoding in HTTP/1.0")
        if coding.lower() != b"chunked":
            raise why.coding_refused(coding)
        return CHUNKED
    return None if length is None else content_length(length, limits)


def content_length(said: bytes, limits: Limits) -> int:
    """What a field of this name says, in any version of HTTP (RFC 9110, 8.6). Raises Malformed."""
    if not is_length(said):
        raise Malformed(400, "invalid Content-Length")
    size = int(said)
    if size > limits.body:
        raise Malformed(413, "Content-Length too large")
    return size


_line: Final = b": ".join


def encode_request(method: bytes, target: bytes, fields: Iterable[tuple[bytes, bytes]], version: int = 11) -> bytes:
    """A request head. The fields are written as they are: only what was parsed, or checked, may come here."""
    return b"\r\n".join([b"%b %b HTTP/1.%d" % (method, target, version - 10), *map(_line, fields), b"\r\n"])


def encode_response(status: int, reason: bytes, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A response head, always of our own version (RFC 9110, 2.5). The fields are written as they are."""
    return b"\r\n".join([b"HTTP/1.1 %d %b" % (status, reason), *map(_line, fields), b"\r\n"])
