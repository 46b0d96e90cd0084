"""What a connection speaks, judged by the first bytes of its client."""

from __future__ import annotations

import enum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""The first bytes of HTTP/2 with prior knowledge (RFC 9113, 3.4)."""


class Detected(enum.Enum):
    """The answer to `detect`."""

    MORE = "more"
    """Undecided: ask again with more bytes, from the first one on."""
    HTTP1 = "http1"
    HTTP2 = "http2"
    TLS = "tls"
    OPAQUE = "opaque"
    """Whatever else: pump it."""


MOST_EMPTY = 64
"""Bytes of nothing but line ends before a first word. One empty line is forgiven (RFC 9112, 2.2)."""

_METHODS = tuple(
    method + b" "
    for method in (
        b"GET POST PUT DELETE HEAD OPTIONS PATCH CONNECT TRACE "
        # WebDAV and its kin (IANA's HTTP method registry)
        b"ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT COPY LABEL LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL "
        b"MKREDIRECTREF MKWORKSPACE MOVE ORDERPATCH PROPFIND PROPPATCH PURGE QUERY REBIND REPORT SEARCH UNBIND "
        b"UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL"
    ).split()
)


def detect(first: bytes) -> Detected:
    """Judge the bytes that a client sent first.

    MORE is the answer only where another byte must come from every client of a protocol we know: a client of some
    other protocol may be waiting for an answer already. What looks like HTTP at all is HTTP1, also where the codec
    will refuse it: passed on as opaque it would reach an application that takes it, past every policy.
    """
    start = first.lstrip(b"\r\n")
    line, ended, _ = start.partition(b"\n")
    if start.startswith(_METHODS):
        if ended and b" HTTP/" not in line and (b" RTSP/" in line or b" SIP/" in line):
            return Detected.OPAQUE
        return Detected.HTTP1
    if first.startswith(PREFACE[:16]):
        return Detected.HTTP2
    if first[:1] == b"\x16":
        if len(first) < 3:
            return Detected.MORE if first[1:2] in (b"", b"\x03") else Detected.OPAQUE
        return Detected.TLS if first[1] == 3 and first[2] <= 4 else Detected.OPAQUE
    if not start and len(first) > MOST_EMPTY:
        return Detected.HTTP1  # which the codec refuses: nobody may make us collect line ends for ever
    if PREFACE.startswith(first) or any(method.startswith(start) for method in _METHODS):
        return Detected.MORE
    return Detected.HTTP1 if b" HTTP/" in line else Detected.OPAQUE


def greets_in_http2(said: bytes) -> bool:
    """Whether what a server said first is HTTP/2's SETTINGS (RFC 9113, 3.4).

    Of all servers that speak first, it alone has a client that speaks first, too.
    """
    return len(said) >= 9 and said[3:9] == b"\x04\x00\x00\x00\x00\x00" and int.from_bytes(said[:3]) % 6 == 0
