"""Why a head was refused. Not on the hot path: accepting takes one match, and only a refusal comes here."""

from __future__ import annotations

import re
from typing import Final

from composemesh.proxy.codec.grammar import FIELDS, HOPELESS, REQUEST_LINE, STATUS_LINE
from composemesh.proxy.codec.parts import Limits, Malformed

_LINE_END: Final = b"\r\n"
_VERSION: Final = re.compile(rb"HTTP/([0-9]\.[0-9])")
_CODINGS: Final = {b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"}
"""What RFC 9112, 7.2 knows beside chunked. `identity` was withdrawn."""


def request_refused(head: bytes, limits: Limits) -> Malformed:
    """What is wrong with a whole request head."""
    line, _, fields = head.removeprefix(_LINE_END).partition(_LINE_END)
    if len(head) > limits.head and len(line) <= limits.line:
        return Malformed(431, "header fields too large")
    return request_line_refused(line, limits) or fields_refused(fields, limits)


def response_refused(head: bytes, limits: Limits) -> Malformed:
    """What is wrong with a whole response head."""
    line, _, fields = head.partition(_LINE_END)
    if len(head) > limits.head:
        return Malformed(431, "header fields too large")
    return status_line_refused(line, limits) or fields_refused(fields, limits)


def request_line_refused(line: bytes, limits: Limits) -> Malformed | None:
    """What is wrong with a request line, its CRLF taken off; None where it is fine."""
    if len(line) > limits.line:
        return Malformed(414, "request line too long")
    if re.fullmatch(REQUEST_LINE, line + _LINE_END):
        return None
    if HOPELESS.search(line):
        return Malformed(400, "control byte in the request line")
    version = _VERSION.fullmatch(line.rpartition(b" ")[2])
    if version is not None and version[1] not in (b"1.0", b"1.1") and line.count(b" ") == 2:
        return Malformed(505, "neither HTTP/1.0 nor HTTP/1.1")
    return Malformed(400, "invalid request line")


def status_line_refused(line: bytes, limits: Limits) -> Malformed | None:
    """What is wrong with a status line, its CRLF taken off; None where it is fine."""
    if len(line) > limits.line:
        return Malformed(431, "status line too long")
    if re.fullmatch(STATUS_LINE, line + _LINE_END):
        return None
    return Malformed(400, "invalid status line")


def fields_refused(lines: bytes, limits: Limits, before: int = 0) -> Malformed:
    """What is wrong with field lines, after so many good ones: the first that does not match the grammar tells."""
    found = FIELDS.match(lines)
    end = found.end() if found else 0
    bad = lines[end:]
    if before + lines.count(b"\n", 0, end) >= limits.fields:
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


def coding_refused(coding: bytes) -> Malformed:
    """A Transfer-Encoding other than `chunked`: 501 where it is sound and we do not know it (RFC 9112, 6.1)."""
    *inner, last = (one.strip(b" \t").lower() for one in coding.split(b","))
    if last == b"chunked" and inner and _CODINGS.issuperset(inner):
        return Malformed(501, "transfer coding other than chunked")
    return Malformed(400, "invalid Transfer-Encoding")
