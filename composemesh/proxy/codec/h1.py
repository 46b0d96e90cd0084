"""Heads of HTTP/1.1 messages: parse whole ones, collect those that come in pieces, write our own.

Accepting is the hot path: one expression checks every byte of a head at once. Only when it does not match does
`_explain` look for the reason.
"""

from __future__ import annotations

import http
import re
from collections.abc import Iterable

from composemesh.proxy.codec import grammar
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

REASONS: dict[int, bytes] = {status.value: status.phrase.encode() for status in http.HTTPStatus}
"""The standard reason phrases."""

_request = grammar.REQUEST.fullmatch
_response = grammar.RESPONSE.fullmatch
_split = grammar.FIELD.findall


def parse_request(head: bytes, limits: Limits = LIMITS) -> RequestHead:
    """Understand a request head that ends with its empty line. Raises Malformed."""
    found = _request(head)
    if found is None or len(head) > limits.head or found.start(4) > limits.line:
        raise _explain_request(head, limits)
    method, target, minor = found.group(1, 2, 3)
    fields = _split(head, found.start(4), found.end(4))
    if len(fields) > limits.fields:
        raise Malformed(431, "too many header fields")
    if b" \r\n" in head or b"\t\r\n" in head:
        fields = [(name, value.rstrip(b" \t")) for name, value in fields]
    values = _by_name(fields)
    version = 11 if minor == b"1" else 10

    host = values.get(b"host")
    if host is None:
        if version == 11:
            raise Malformed(400, "no Host field")
        host = b""
    elif grammar.AUTHORITY.fullmatch(host) is None:
        raise Malformed(400, "invalid Host field")
    if target[0] == 0x2F and method != b"CONNECT":
        authority, path = host, target
    else:
        authority, path = _other_target(method, target, host)

    keep_alive, upgrade = version == 11, b""
    if b"connection" in values:
        keep_alive, upgrading = _connection(values[b"connection"], version)
        if upgrading and version == 11:
            upgrade = values.get(b"upgrade", b"").lower()
    body = _body(values, version, limits)
    expect = body != 0 and version == 11 and values.get(b"expect", b"").lower() == b"100-continue"
    return RequestHead(
        method, target, version, fields, values, authority, path, body or 0, keep_alive, expect, upgrade
    )


def parse_response(head: bytes, method: bytes, limits: Limits = LIMITS) -> ResponseHead:
    """Understand a response head, given the method of the request that it answers. Raises Malformed."""
    found = _response(head)
    if found is None or len(head) > limits.head:
        raise _explain_response(head, limits)
    minor, digits, reason = found.group(1, 2, 3)
    fields = _split(head, found.start(4), found.end(4))
    if len(fields) > limits.fields:
        raise Malformed(431, "too many header fields")
    if b" \r\n" in head or b"\t\r\n" in head:
        fields = [(name, value.rstrip(b" \t")) for name, value in fields]
    values = _by_name(fields)
    version = 11 if minor == b"1" else 10
    status = int(digits)

    keep_alive, upgrade = version == 11, b""
    if b"connection" in values:
        keep_alive, upgrading = _connection(values[b"connection"], version)
        if upgrading and status == 101:
            upgrade = values.get(b"upgrade", b"").lower()
    body = _body(values, version, limits)
    if status < 200 or status == 204:
        if body:
            raise Malformed(400, "a body where none can be")
        body = 0
    elif status == 304 or method == b"HEAD":
        body = 0
    elif body is None or (method == b"CONNECT" and status < 300):
        body, keep_alive = UNTIL_CLOSE, False
    return ResponseHead(status, reason or b"", version, fields, values, body, keep_alive, upgrade)


def _by_name(fields: Fields) -> dict[bytes, bytes]:
    """Lowercase name → value. Where a name repeats, its values are joined as RFC 9110, 5.3 says.

    A repeated Host, Content-Length or Transfer-Encoding thereby becomes a value that its own check refuses.
    """
    values = {name.lower(): value for name, value in fields}
    if len(values) != len(fields):
        values = {}
        for name, value in fields:
            name = name.lower()
            values[name] = values[name] + b", " + value if name in values else value
    return values


def _other_target(method: bytes, target: bytes, host: bytes) -> tuple[bytes, bytes]:
    """Authority and path of a target that is not just a path (RFC 9112, 3.2). Raises Malformed."""
    if method == b"CONNECT":
        if grammar.CONNECT_AUTHORITY.fullmatch(target) is None:
            raise Malformed(400, "CONNECT needs host:port")
        return target, b""
    if target == b"*":
        if method != b"OPTIONS":
            raise Malformed(400, "only OPTIONS may ask for *")
        return host, target
    found = grammar.ABSOLUTE.fullmatch(target)
    if found is None:
        raise Malformed(400, "invalid request target")
    authority, path = found.group(1, 2)
    # Userinfo is for the one who types the URI (RFC 9110, 4.2.4): it names nobody, and is not sent on.
    authority = authority.rpartition(b"@")[2]
    if grammar.AUTHORITY.fullmatch(authority) is None:
        raise Malformed(400, "invalid authority in the request target")
    if not path:
        path = b"*" if method == b"OPTIONS" else b"/"
    elif path[0] != 0x2F:
        path = b"/" + path
    return authority, path


def _connection(value: bytes, version: int) -> tuple[bool, bool]:
    """Whether the connection persists, and whether an upgrade is meant (RFC 9112, 9.3)."""
    options = [option.strip(b" \t") for option in value.lower().split(b",")]
    keep_alive = b"close" not in options and (version == 11 or b"keep-alive" in options)
    return keep_alive, b"upgrade" in options


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
            raise _explain_coding(coding)
        return CHUNKED
    if length is None:
        return None
    if grammar.DIGITS.fullmatch(length) is None:
        raise Malformed(400, "invalid Content-Length")
    size = int(length)
    if size > limits.body:
        raise Malformed(413, "Content-Length too large")
    return size


def _explain_coding(coding: bytes) -> Malformed:
    codings = [one.strip(b" \t").lower() for one in coding.split(b",")]
    if codings[-1] == b"chunked" and b"chunked" not in codings[:-1] and set(codings[:-1]) <= _CODINGS:
        return Malformed(501, "unknown transfer coding")
    return Malformed(400, "invalid Transfer-Encoding")


_CODINGS = {b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"}


def _explain_request(head: bytes, limits: Limits) -> Malformed:
    line = head.removeprefix(b"\r\n").partition(b"\r\n")[0]
    if len(line) > limits.line:
        return Malformed(414, "request line too long")
    if len(head) > limits.head:
        return Malformed(431, "header fields too large")
    version = re.fullmatch(rb"[^ ]+ [^ ]+ HTTP/([0-9])\.([0-9])", line)
    if version is None:
        return Malformed(400, "invalid request line")
    if version.group(1, 2) not in ((b"1", b"0"), (b"1", b"1")):
        return Malformed(505, "not HTTP/1.0 or 1.1")
    return Malformed(400, "invalid request head")


def _explain_response(head: bytes, limits: Limits) -> Malformed:
    if len(head) > limits.head:
        return Malformed(431, "header fields too large")
    return Malformed(400, "invalid response head")


class HeadBuffer:
    """Collects a head that arrives in pieces. No byte is looked at twice, however small the pieces."""

    __slots__ = ("_buffer", "_limits", "_response", "_scanned", "head", "rest")

    def __init__(self, limits: Limits = LIMITS, *, response: bool = False) -> None:
        self._buffer = bytearray()
        self._limits = limits
        self._response = response
        self._scanned = 0
        self.head = b""
        """The whole head with its empty line, once `feed` has returned True."""
        self.rest = b""
        """What came after it."""

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> bool:
        """Add what was received; True once the head is whole. Raises Malformed when it can no longer become one."""
        buffer = self._buffer
        buffer += data
        end = buffer.find(b"\r\n\r\n", max(0, self._scanned - 3))
        if end >= 0:
            self.head, self.rest = bytes(buffer[: end + 4]), bytes(buffer[end + 4 :])
            return True
        if _HOPELESS.search(buffer, max(0, self._scanned - 1)):
            raise Malformed(400, "a byte that no head may hold")
        self._scanned = len(buffer)
        if len(buffer) > self._limits.head:
            if not self._response and buffer.find(b"\n", 2) < 0:
                raise Malformed(414, "request line too long")
            raise Malformed(431, "header fields too large")
        return False


_HOPELESS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r[^\n]")

_colon = b": ".join


def encode_request(method: bytes, target: bytes, fields: Iterable[tuple[bytes, bytes]], version: int = 11) -> bytes:
    """A request head. The fields are written as they are: only what was parsed, or checked, may come here."""
    line = b"%b %b HTTP/1.%d" % (method, target, version - 10)
    return b"\r\n".join([line, *map(_colon, fields), b"\r\n"])


def encode_response(status: int, reason: bytes, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A response head, always of version 1.1 (RFC 9110, 2.5)."""
    line = b"HTTP/1.1 %d %b" % (status, reason)
    return b"\r\n".join([line, *map(_colon, fields), b"\r\n"])
