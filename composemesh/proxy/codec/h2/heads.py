"""Fields of HTTP/2 ↔ heads of `codec.parts`: what HTTP/1 has in a first line is in pseudo-fields (RFC 9113, 8.3).

Whatever an HTTP/1 parser would refuse is refused: the message may have to be written down in HTTP/1 (8.2, 10.3).
The heads made here say what the same message would say in HTTP/1, Host field included, so that nothing behind them
needs to know the difference.
"""

from __future__ import annotations

import re

from composemesh.proxy.codec import why
from composemesh.proxy.codec.grammar import (
    METHOD,
    SINGLE_IN_REQUESTS,
    SINGLE_IN_RESPONSES,
    TARGET,
    TOKEN,
    is_authority,
    is_destination,
    is_same_authority,
)
from composemesh.proxy.codec.h1 import REASONS, content_length
from composemesh.proxy.codec.h2.fields import PSEUDO, Unfit
from composemesh.proxy.codec.parts import STREAMED, Fields, Limits, Malformed, RequestHead, ResponseHead

VERSION = 20
"""`version` of every head made here."""

_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE"})
_SCHEMES = frozenset({b"http", b"https"})
_method = re.compile(METHOD).fullmatch
_token = re.compile(rb"%b++" % TOKEN).fullmatch
_path = re.compile(rb"/%b*+" % TARGET).fullmatch
_COLON = ord(":")


def request(fields: Fields, end: bool, limits: Limits, *, unfit: bool = False) -> RequestHead:
    """The head of a request whose stream ends with it, or not. Raises Malformed; with 431, only for its size."""
    if unfit:
        _refuse_unfit(fields)
    values = dict(fields)
    if len(values) != len(fields):
        fields, values = _by_name(fields, SINGLE_IN_REQUESTS)
    pop = values.pop
    method, scheme, path, authority = (
        pop(b":method", b""),
        pop(b":scheme", b""),
        pop(b":path", b""),
        pop(b":authority", None),
    )
    pseudo = 3 if authority is None else 4
    upgrade = b""
    if method == b"CONNECT":
        protocol = pop(b":protocol", None)
        if protocol is None:
            pseudo = 2
            if scheme or path or authority is None or not is_destination(authority):
                raise Malformed(400, "CONNECT with more than a host and a port")
        else:
            pseudo += 1
            method, upgrade = b"GET", protocol.lower()
            if authority is None or _token(protocol) is None:
                raise Malformed(400, "invalid :protocol")
    elif method not in _METHODS and (_method(method) is None or method == b"PRI"):
        raise Malformed(400, "invalid :method")
    if pseudo != 2:
        if scheme not in _SCHEMES:
            raise Malformed(400, "invalid :scheme")
        if _path(path) is None and (path != b"*" or method != b"OPTIONS"):
            raise Malformed(400, "invalid :path")
    for name, _ in fields[:pseudo]:
        if name[0] != _COLON:
            raise Malformed(400, "pseudo-field missing or after a field")
    fields = fields[pseudo:]

    host = values.get(b"host")
    if authority is None:
        authority = host or b""
    if host is None:
        values[b"host"] = authority
        fields.insert(0, (b"host", authority))
    elif not is_same_authority(authority, host, scheme):
        raise Malformed(400, ":authority other than Host")
    if not is_authority(authority):
        raise Malformed(400, "invalid :authority")
    if len(path) > limits.line:
        raise Malformed(414, "path too long")
    _check_rest(fields, values, limits)
    body = _length(values, limits)
    if body is None:
        body = 0 if end else STREAMED
    elif end and body:
        raise Malformed(400, "body shorter than its Content-Length")
    expects = not end and values.get(b"expect", b"").lower() == b"100-continue"
    return RequestHead(
        method, path or authority, VERSION, fields, values, authority, path, body, True, expects, upgrade
    )


def response(
    fields: Fields, method: bytes, upgrade: bytes, end: bool, limits: Limits, *, unfit: bool = False
) -> ResponseHead:
    """The head of a response to a request of that method. Raises Malformed.

    The 2xx to an extended CONNECT becomes the 101 that HTTP/1 has for it (RFC 8441, 5).
    """
    if unfit:
        _refuse_unfit(fields)
    values = dict(fields)
    if len(values) != len(fields):
        fields, values = _by_name(fields, SINGLE_IN_RESPONSES)
    digits = values.pop(b":status", b"")
    if len(digits) != 3 or not digits.isdigit() or fields[0][0] != b":status":
        raise Malformed(400, "no :status, or an invalid one")
    status = int(digits)
    fields = fields[1:]
    _check_rest(fields, values, limits)
    if status < 100 or status == 101:
        raise Malformed(400, "a status that HTTP/2 does not have")
    body = _length(values, limits)
    if status < 200:
        if end or body:
            raise Malformed(400, "a body, or the end, where a response is to follow")
        return ResponseHead(status, REASONS.get(status, b""), VERSION, fields, values, 0, True, b"")
    if upgrade and status < 300:
        return ResponseHead(101, REASONS[101], VERSION, fields, values, STREAMED, False, upgrade)
    if method == b"HEAD" or status == 304:
        body = 0
    elif status == 204 or (method == b"CONNECT" and status < 300):
        if body:
            raise Malformed(400, "a body where none can be")
        body = 0 if status == 204 or end else STREAMED
    elif body is None:
        body = 0 if end else STREAMED
    elif end and body:
        raise Malformed(400, "body shorter than its Content-Length")
    return ResponseHead(status, REASONS.get(status, b""), VERSION, fields, values, body, True, b"")


_FORBIDDEN_TRAILERS = frozenset({b"content-length", b"host", b"trailer"})


def trailers(fields: Fields, limits: Limits, *, unfit: bool = False) -> Fields:
    """The fields after a body. Raises Malformed for what may not come there (RFC 9113, 8.1; RFC 9110, 6.5.1)."""
    if unfit:
        _refuse_unfit(fields)
    total = 0
    for name, value in fields:
        if name[0] == _COLON or name in _FORBIDDEN_TRAILERS:
            raise Malformed(400, "pseudo-field, framing or Host among the trailers")
        total += len(name) + len(value) + 4
    if len(fields) > limits.fields or total > limits.trailers:
        raise Malformed(431, "trailers too large")
    return fields[:]


def _refuse_unfit(fields: Fields) -> None:
    if any(type(field) is Unfit for field in fields):
        raise Malformed(400, "a field that cannot travel in HTTP/2")


def _by_name(fields: Fields, single: tuple[bytes, ...]) -> tuple[Fields, dict[bytes, bytes]]:
    """Name → value, as in HTTP/1. Cookies come in crumbs and are joined in a way of their own (8.2.3)."""
    several: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        several.setdefault(name, []).append(value)
    if any(len(several.get(name, ())) > 1 for name in PSEUDO):
        raise Malformed(400, "pseudo-field twice")
    for name in single:
        if len(several.get(name, ())) > 1:
            raise why.twice(name)
    crumbs = several.get(b"cookie", ())
    if len(crumbs) > 1:
        first = next(at for at, (name, _) in enumerate(fields) if name == b"cookie")
        fields = [field for at, field in enumerate(fields) if field[0] != b"cookie" or at == first]
        several[b"cookie"] = [b"; ".join(crumbs)]
        fields[first] = (b"cookie", several[b"cookie"][0])
    return fields, {name: b", ".join(each) for name, each in several.items()}


def _check_rest(fields: Fields, values: dict[bytes, bytes], limits: Limits) -> None:
    """No pseudo-field is left, and the head is one that HTTP/1 would take."""
    if not PSEUDO.isdisjoint(values):
        raise Malformed(400, "pseudo-field out of place")
    if len(fields) > limits.fields:
        raise Malformed(431, "too many header fields")
    if sum(map(len, values.values())) > limits.head:
        raise Malformed(431, "header fields too large")


def _length(values: dict[bytes, bytes], limits: Limits) -> int | None:
    length = values.get(b"content-length")
    return None if length is None else content_length(length, limits)
