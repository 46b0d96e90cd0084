"""Whom a TLS client asks for, read from its first flight before anybody answers it.

The name decides who answers: which certificate, whether clients must have one, or whether nothing is decrypted at
all. OpenSSL could change certificates in the middle of a handshake, but goes on with the first context's rules about
clients; so it is only asked to read the name here, and a connection begins with the context that is its own.
"""

from __future__ import annotations

import ssl

import trio

from composemesh.proxy.tls import HANDSHAKE_TIMEOUT, HandshakeFailed, told
from composemesh.proxy.wire import Wire

LONGEST_HELLO = 1 << 17
"""Bytes of a first flight: OpenSSL's own limit for the message, and its records' headers."""

_heard: list[str | None] = []


def _hear(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> int:
    _heard.append(name)
    return ssl.AlertDescription.ALERT_DESCRIPTION_USER_CANCELLED


def _listener() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED  # what is passed through is not ours to refuse
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.sni_callback = _hear
    return context


_LISTENER = _listener()


async def server_name(wire: Wire, first: bytes, limit: float = HANDSHAKE_TIMEOUT) -> tuple[str, bytes]:
    """The server that a client asks for, in lowercase, empty where it does not say; and all that was read.

    `first` is what was read before. Raises HandshakeFailed for what is no ClientHello, or not whole in `limit`
    seconds, and OSError where the client was reset. If cancelled, close the connection.
    """
    heard = ssl.MemoryBIO()
    probe = _LISTENER.wrap_bio(heard, ssl.MemoryBIO(), server_side=True)
    data = said = first
    with trio.move_on_after(limit):
        while len(said) <= LONGEST_HELLO:
            if data:
                heard.write(data)
                name = _name(probe)
                if name is not None:
                    return name, said
            data = await wire.receive()
            if not data:
                raise HandshakeFailed("the connection ended")
            said += data
        raise HandshakeFailed("the first flight does not end")
    raise HandshakeFailed(f"not done in {limit:.0f} s")


def _name(probe: ssl.SSLObject) -> str | None:
    """The name, once the message is whole; None before. Nothing is awaited: `_heard` is everybody's."""
    _heard.clear()
    try:
        probe.do_handshake()
    except ssl.SSLWantReadError:
        return None
    except ssl.SSLError as problem:
        if not _heard:
            raise HandshakeFailed(told(problem)) from None
    return (_heard[0] or "").lower().rstrip(".")
