"""Why a head was refused. Not on the hot path: accepting takes one match, and only a refusal comes here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from composemesh.proxy.codec.grammar import (
    FIELDS,
    HOPELESS,
    METHOD,
    OTHER_VERSION,
    REQUEST_LINE,
    SINGLE_IN_REQUESTS,
    SINGLE_IN_RESPONSES,
    STATUS_LINE,
    TARGET,
)
from composemesh.proxy.codec.parts import Limits, Malformed

_LINE_END: Final = b"\r\n"
_request_line: Final = re.compile(REQUEST_LINE).fullmatch
_status_line: Final = re.compile(STATUS_LINE).fullmatch
_OTHER_VERSION: Final = re.compile(rb"%b %b++%b" % (METHOD, TARGET, OTHER_VERSION))
_CODINGS: Final = {b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"}
"""What RFC 9112, 7.2 knows beside chunked. `identity` was withdrawn."""


def request_refused(head: bytes, limits: Limits) -> Malformed:
    """What is wrong with a whole request head."""
    line, _, fields = head.removeprefix(_LINE_END).partition(_LINE_END)
    if len(head) > limits.head and len(line) <= limits.line:
        return Malformed(431, "header fields too large")
    return request_line_refused(line, limits) or fields_refused(fields, limits, SINGLE_IN_REQUESTS)


def response_refused(head: bytes, limits: Limits) -> Malformed:
    """What is wrong with a whole response head."""
    line, _, fields = head.partition(_LINE_END)
    if len(head) > limits.head:
        return Malformed(431, "header fields too large")
    return status_line_refused(line, limits) or fields_refused(fields, limits, SINGLE_IN_RESPONSES)


def request_line_refused(line: bytes, limits: Limits) -> Malformed | None:
    """What is wrong with a request line, its CRLF taken off; None where it is fine."""
    if len(line) <= limits.line and _request_line(line + _LINE_END):
        return None
    refusal = version_refused(line, limits)
    if refusal is not None:
        return refusal
    if len(line) > limits.line:
        return Malformed(414, "request line too long")
    if HOPELESS.search(line):
        return Malformed(400, "control byte in the request line")
    return Malformed(400, "invalid request line")


def version_refused(line: bytes, limits: Limits) -> Malformed | None:
    """A refusal if this is, or begins, a request line of a version that is not ours, whatever else follows."""
    found = _OTHER_VERSION.match(line)
    if found is None or found.end() > limits.line:
        return None
    return Malformed(505, "neither HTTP/1.0 nor HTTP/1.1")


def status_line_refused(line: bytes, limits: Limits) -> Malformed | None:
    """What is wrong with a status line, its CRLF taken off; None where it is fine."""
    if len(line) > limits.line:
        return Malformed(431, "status line too long")
    if _status_line(line + _LINE_END):
        return None
    return Malformed(400, "invalid status line")


def fields_refused(
    lines: bytes, limits: Limits, single: tuple[bytes, ...], before: int = 0, said: Iterable[bytes] = ()
) -> Malformed:
    """What is wrong with field lines, of which the first bad one tells.

    `before` so many good lines came, and with them, of the fields that may come once, those that were `said`.
    """
    found = FIELDS.match(lines)
    end = found.end() if found else 0
    bad = lines[end:]
    good = lines[:end].split(_LINE_END)[:-1]
    seen = set(said)
    for line in good[: limits.fields - before]:
        name = line.partition(b":")[0].lower()
        if name in seen:
            return twice(name)
        if name in single:
            seen.add(name)
    if before + len(good) >= limits.fields:
        return Malformed(431, "too many header fields")
    line = bad.partition(b"\n")[0].removesuffix(b"\r")
    name, colon, _ = line.partition(b":")
    if line[:1] in (b" ", b"\t"):
        return Malformed(400, "folded header field")
    if HOPELESS.search(line) or b"\r" in line:
        return Malformed(400, "control byte in a header field")
    if colon and name != name.rstrip(b" \t"):
        return Malformed(400, "blank before the colon of a header field")
    return Malformed(400, "invalid header field name" if colon else "header field without a colon")


def twice(name: bytes) -> Malformed:
    """A field that may come once, and came again."""
    return Malformed(400, f"two {name.decode().title()} fields")


def coding_refused(coding: bytes) -> Malformed:
    """A Transfer-Encoding other than `chunked`: 501 where it is sound and we do not know it (RFC 9112, 6.1)."""
    *inner, last = (one.strip(b" \t").lower() for one in coding.split(b","))
    if last == b"chunked" and inner and _CODINGS.issuperset(inner):
        return Malformed(501, "transfer coding other than chunked")
    return Malformed(400, "invalid Transfer-Encoding")
