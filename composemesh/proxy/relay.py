"""Opaque bytes, pumped both ways with back-pressure: TCP services, and HTTP connections after an upgrade."""

from __future__ import annotations

import trio

from composemesh.proxy.wire import Wire

BUFFER = 256 * 1024
"""Bytes a pump moves at a time: measured best for bulk transfers through Python."""
_buffer = memoryview(bytearray(BUFFER))
"""Shared by all pumps: nothing is awaited between filling and emptying it, and a connection that is silent, as most
are at most times, has no half megabyte of its own. `Wire.send` copies what it cannot get rid of at once."""


class Moved:
    """What has passed so far."""

    __slots__ = ("received", "sent")

    def __init__(self) -> None:
        self.received = 0
        """Bytes from the downstream."""
        self.sent = 0
        """Bytes to the downstream."""


async def relay(downstream: Wire, upstream: Wire, moved: Moved) -> bool:
    """Pump until both directions have ended; a half-close is passed on as one, and a reset as a reset.

    Returns whether both sides ended in order. Closes both. If cancelled, both are reset: whoever waits for the rest
    must not take what it has for the whole.
    """
    orderly = False
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_pump_up, downstream, upstream, moved)
            await _pump_down(upstream, downstream, moved)
        orderly = True
    except* OSError:
        pass  # one side was reset: so is the other, below
    finally:
        for wire in (downstream, upstream):
            if orderly:
                wire.close()
            else:
                wire.reset()
    return orderly


async def _pump_up(downstream: Wire, upstream: Wire, moved: Moved) -> None:
    while count := await downstream.receive_into(_buffer):
        await upstream.send(_buffer[:count])
        moved.received += count
    _finish(upstream)


async def _pump_down(upstream: Wire, downstream: Wire, moved: Moved) -> None:
    while count := await upstream.receive_into(_buffer):
        await downstream.send(_buffer[:count])
        moved.sent += count
    _finish(downstream)


def _finish(sink: Wire) -> None:
    try:
        sink.finish()
    except OSError:
        pass  # it has gone meanwhile, as its own pump will notice
