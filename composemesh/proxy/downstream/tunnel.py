"""A connection of HTTP/1.1 after an upgrade or a CONNECT: its bytes are somebody else's protocol from here on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from composemesh.proxy.codec.parts import NO_FIELDS
from composemesh.proxy.refuse import Cut
from composemesh.proxy.relay import Moved, relay

if TYPE_CHECKING:
    from composemesh.proxy.exchange import Upstream
    from composemesh.proxy.wire import Wire


async def tunnel(downstream: Wire, up: Upstream, early: bytes, moved: Moved) -> None:
    """Pump until both directions have ended, beginning with what the client has sent already.

    Closes the client's end: in order, or with a reset where the other end was lost. If cancelled, with a reset.
    """
    if up.wire is None:
        await _pump(downstream, up, early, moved)
        return
    try:
        if early:
            await up.wire.send(early)
        await relay(downstream, up.wire, moved)
    except OSError:
        downstream.reset()  # the upstream went between its answer and our first bytes


async def _pump(downstream: Wire, up: Upstream, data: bytes, moved: Moved) -> None:
    """The other end is a stream of HTTP/2, with which others share the connection."""

    async def upwards() -> None:
        if data:
            await up.send(data)
        while payload := await downstream.receive():
            await up.send(payload)
            moved.received += len(payload)
        await up.finish(NO_FIELDS)

    orderly = False
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(upwards)
            while payload := await up.read():
                await downstream.send(payload)
                moved.sent += len(payload)
            downstream.finish()
        orderly = True
    except* (Cut, OSError):
        pass  # one side was lost: so is the other
    finally:
        if orderly:
            downstream.close()
        else:
            downstream.reset()
