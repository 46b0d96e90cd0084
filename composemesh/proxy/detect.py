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


_METHODS = tuple(
    (method + " ").encode()
    for method in (
        "GET POST PUT DELETE HEAD OPTIONS PATCH CONNECT TRACE "
        # WebDAV and its kin (IANA's HTTP method registry)
        "ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT COPY LABEL LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL "
        "MKREDIRECTREF MKWORKSPACE MOVE ORDERPATCH PROPFIND PROPPATCH PURGE QUERY REBIND REPORT SEARCH UNBIND "
        "UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL"
    ).split()
)


def detect(first: bytes) -> Detected:
    """Judge the bytes a client sent first."""
    start = first.lstrip(b"\r\n")
    if start.startswith(_METHODS):
        line, ended, _ = start.partition(b"\n")
        if ended and b" HTTP/" not in line and (b" RTSP/" in line or b" SIP/" in line):
            return Detected.OPAQUE
        return Detected.HTTP1
    if first.startswith(PREFACE[:16]):
        return Detected.HTTP2
    if first[:1] == b"\x16" and first[1:2] in (b"", b"\x03"):
        return Detected.TLS if len(first) >= 3 else Detected.MORE
    if PREFACE.startswith(first) or any(method.startswith(start) for method in _METHODS):
        return Detected.MORE
    if b" HTTP/" in start.partition(b"\n")[0]:
        return Detected.HTTP1
    return Detected.OPAQUE
