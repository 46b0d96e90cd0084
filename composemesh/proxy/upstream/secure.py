"""TLS towards an endpoint: the same connection, with whom it leads to proven."""

from __future__ import annotations

from typing import TYPE_CHECKING

from composemesh.proxy.codec.parts import HTTP2
from composemesh.proxy.tls import HANDSHAKE_TIMEOUT, HandshakeFailed, TlsWire
from composemesh.proxy.upstream.dial import Unconnected

if TYPE_CHECKING:
    import ssl

    from composemesh.proxy.wire import Wire


async def secure(wire: Wire, context: ssl.SSLContext, name: str = "", limit: float = HANDSHAKE_TIMEOUT) -> TlsWire:
    """Go on in TLS on a connection that was just made. `name`: the server to ask for (SNI).

    Raises Unconnected, which nothing was sent before, with the connection closed; so it is if cancelled.
    """
    secured = TlsWire(wire, context, name=name)
    try:
        await secured.handshake(limit)
    except HandshakeFailed as problem:
        secured.close()
        raise Unconnected(f"{name or 'TLS'}: {problem}") from None
    except BaseException:
        secured.close()
        raise
    return secured


def version(wire: TlsWire) -> int:
    """The version of HTTP that was agreed on by ALPN, or else is spoken where nothing is: 20 or 11."""
    return HTTP2 if wire.alpn == "h2" else 11
