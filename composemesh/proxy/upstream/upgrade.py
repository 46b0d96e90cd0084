"""Upgrades, and what becomes of them where the protocol changes on the way. Pure.

HTTP/1.1 asks with `Upgrade` and is answered with a 101 (RFC 9110, 7.8); HTTP/2 asks with an extended CONNECT and is
answered with a 200 (RFC 8441). Heads say it in the words of HTTP/1.1, whichever they came in.

WebSocket adds a handshake of its own to HTTP/1.1 (RFC 6455, 1.3), which shows that the server did not answer by
accident, and which HTTP/2 does without: a bridge must do the client's part, or the server's.
"""

from __future__ import annotations

import base64
import hashlib
import random

from composemesh.proxy.codec.parts import HTTP2, Fields, RequestHead

WEBSOCKET = b"websocket"
KEY = b"sec-websocket-key"
ACCEPT = b"sec-websocket-accept"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def protocols(head: RequestHead) -> list[bytes]:
    """The protocols that the application is asked to change to. Never h2c, nor what was asked along with it: what
    follows would be a second protocol on the wire, past every check made here."""
    if not head.upgrade:
        return []
    asked = head.upgrade.replace(b" ", b"").replace(b"\t", b"").split(b",")
    return asked if asked[0] and b"h2c" not in asked else []


def asks_for_tunnel(head: RequestHead) -> bool:
    """Whether a request may end HTTP on its connection, or stream. What its client sends early must wait for the
    answer: a server that refuses the tunnel takes it for the next request."""
    return head.method == b"CONNECT" or bool(protocols(head))


def travels_in_http2(head: RequestHead) -> bool:
    """Whether an extended CONNECT can say the same: it has room for one protocol, and none for a method."""
    return head.version == HTTP2 or (head.method == b"GET" and len(protocols(head)) == 1)


def new_key() -> bytes:
    """A client's part of the handshake. It protects nothing, so the fast generator is the right one."""
    return base64.b64encode(random.randbytes(16))


def accept_of(key: bytes) -> bytes:
    """The server's part: what `Sec-WebSocket-Accept` must say (RFC 6455, 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def without_accept(fields: Fields) -> Fields:
    """For a client of HTTP/2, which has asked for no such thing."""
    return [field for field in fields if field[0].lower() != ACCEPT]
