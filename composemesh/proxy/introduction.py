"""Clients that another proxy speaks for: in the PROXY protocol it says who they are, before their first byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from composemesh.proxy.codec.parts import Malformed
from composemesh.proxy.codec.proxy_protocol import LONGEST, Stated, parse

if TYPE_CHECKING:
    from composemesh.proxy.wire import Wire

PATIENCE = 10.0
"""Seconds for it, as for a head in HTTP/1. The specification asks for it in one packet."""


async def hear_introduction(wire: Wire) -> tuple[Stated, bytes]:
    """What is said of the client, and what of its own came along. Raises Malformed, also where nothing is said in
    time, and OSError. If cancelled, close the connection."""
    data = b""
    with trio.move_on_after(PATIENCE):
        while more := await wire.receive(LONGEST):
            data += more
            stated = parse(data)
            if stated is not None:
                return stated, data[stated.size :]
    raise Malformed(400, "no PROXY header")
