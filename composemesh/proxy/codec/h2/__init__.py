"""HTTP/2 without a socket (RFC 9113): bytes in, events and bytes out. The `h2` library, made lean and given limits.

`events` what `receive` tells · `limits` what a peer may ask · `budget` how much work it may cause · `fields`,
`hpack`, `huffman` header compression (RFC 7541) · `heads` fields ↔ the heads of `codec.parts`, as strict as HTTP/1 ·
`frames` their bytes · `core` h2's connection with our streams · `state`, `sending`, `control`, `connection` what both
sides do, in four steps · `server`, `client` what only one of them does.

h2 keeps the rules: every frame of a rare type, or for a stream in a rare state, is judged by it. What nearly all of
the traffic is made of (HEADERS, DATA, WINDOW_UPDATE, PING, each where it is expected) is handled here, on h2's own
state, at a fourth of the cost. What the h2 library never does is count; `budget` does.
"""

from __future__ import annotations

from composemesh.proxy.codec.h2.client import ClientConnection
from composemesh.proxy.codec.h2.connection import Connection
from composemesh.proxy.codec.h2.events import (
    BodyCame,
    Ended,
    Event,
    GoAway,
    InterimCame,
    PingAnswered,
    RequestOpened,
    ResponseHeadCame,
    SettingsChanged,
    StreamReset,
    Trailers,
    WindowOpened,
)
from composemesh.proxy.codec.h2.frames import Code
from composemesh.proxy.codec.h2.limits import H2_LIMITS, H2Limits, limits_for
from composemesh.proxy.codec.h2.server import ServerConnection
from composemesh.proxy.codec.h2.state import Gone

__all__ = [
    "H2_LIMITS",
    "BodyCame",
    "ClientConnection",
    "Code",
    "Connection",
    "Ended",
    "Event",
    "GoAway",
    "Gone",
    "H2Limits",
    "InterimCame",
    "PingAnswered",
    "RequestOpened",
    "ResponseHeadCame",
    "ServerConnection",
    "SettingsChanged",
    "StreamReset",
    "Trailers",
    "WindowOpened",
    "limits_for",
]
