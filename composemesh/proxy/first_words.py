"""What a connection speaks, told by who says what first. No timer decides, and nobody needs to declare anything.

A server that is heard before its client is opaque TCP (MySQL, SMTP), with two exceptions: HTTP/2 servers may send
their settings into the silence, and HTTP/1.1 servers that grow tired of it a 408. Else the client's bytes tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import trio

from composemesh.proxy.codec.client_hello import parse
from composemesh.proxy.codec.parts import Malformed
from composemesh.proxy.detect import Detected, detect, greets_in_http2
from composemesh.proxy.wire import Wire

PATIENCE = 1.0
"""Seconds to find out how to refuse a connection whose callee can't be reached: in HTTP, or with a reset."""
LONGEST_HELLO = 1 << 17
"""Bytes that are read of a TLS client before it is passed on without a name."""


@dataclass(frozen=True, slots=True)
class FirstWords:
    """What was heard, and what it means."""

    kind: Detected
    """MORE where the client left, or said nothing that means anything, before it was clear."""
    first: bytes
    """What the client said."""
    greeted: bool
    """Whether the server spoke first, in a protocol in which servers do."""


async def first_words(downstream: Wire, upstream: Wire | None, patience: float, first: bytes = b"") -> FirstWords:
    """Listen to both sides until it is clear what they speak. What the server said is left unread.

    `first` is what the client has said already. `upstream` is None where nobody was dialled, or could be reached;
    then `patience` bounds each wait for the client, in seconds. Raises OSError where the client was reset.
    Safe to cancel.
    """
    kind = detect(first)
    while kind is Detected.MORE:
        data = await _listen(downstream, upstream, patience)
        if data is None:
            said = _peek(upstream)
            if not greets_in_http2(said):
                return FirstWords(Detected.OPAQUE, first, bool(said) and not b"HTTP/1.".startswith(said[:7]))
            data = await downstream.receive()  # its client speaks all the same, and decides
        if not data:
            break
        first += data
        kind = detect(first)
    return FirstWords(kind, first, False)


async def _listen(downstream: Wire, upstream: Wire | None, patience: float) -> bytes | None:
    """The client's next bytes, nothing where it has closed or had nothing to say; None where the server was first."""
    if upstream is None:
        with trio.move_on_after(patience):
            return await downstream.receive()
        return b""
    client_spoke = False

    async def watch_server() -> None:
        await upstream.until_readable()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_server)
        await downstream.until_readable()
        client_spoke = True
        nursery.cancel_scope.cancel()
    return await downstream.receive() if client_spoke else None


def _peek(upstream: Wire | None) -> bytes:
    try:
        return b"" if upstream is None else upstream.peek(9)
    except OSError:
        return b""


async def server_name(downstream: Wire, first: bytes, patience: float = PATIENCE) -> tuple[str, bytes]:
    """Whom a TLS client asks for, empty where it does not say so in `patience` seconds; and all that it has said.

    Raises OSError where the client was reset. Safe to cancel.
    """
    try:
        with trio.move_on_after(patience):
            while (hello := parse(first)) is None and len(first) < LONGEST_HELLO:
                data = await downstream.receive()
                if not data:
                    break
                first += data
            return ("" if hello is None else hello.server_name), first
    except Malformed:
        pass  # the server will say what it thinks of that
    return "", first
