"""Opaque bytes, pumped both ways with back-pressure: TCP services, and HTTP connections after an upgrade."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable

import trio

from composemesh.proxy.wire import IN_A_ROW, Wire

BUFFER = 256 * 1024
"""Bytes a pump moves at a time: measured best for bulk transfers through Python."""
BULK = 4
"""Full buffers in a row after which a transfer is left to the kernel: a pipe and its two descriptors are worth it."""
PIPE = 1 << 20
"""Bytes of such a pipe: as much as anybody may ask for by default (pipe(7), pipe-max-size)."""
_buffer = memoryview(bytearray(BUFFER))
"""Shared by all pumps: nothing is awaited between filling and emptying it, and a connection that is silent, as most
are at most times, has no half megabyte of its own. `Wire.send` copies what it cannot get rid of at once."""


class Moved:
    """What has passed so far."""

    __slots__ = ("_seen", "_since", "received", "sent")

    def __init__(self) -> None:
        self._seen = -1
        self._since = 0.0
        self.received = 0
        """Bytes from the downstream."""
        self.sent = 0
        """Bytes to the downstream."""

    def idle(self, now: float) -> float:
        """For how long nothing has passed, as far as is known to somebody who asks now and then."""
        total = self.received + self.sent
        if total != self._seen:
            self._seen, self._since = total, now
        return now - self._since


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
    def count(size: int) -> None:
        moved.received += size

    await _pump(downstream, upstream, count)


async def _pump_down(upstream: Wire, downstream: Wire, moved: Moved) -> None:
    def count(size: int) -> None:
        moved.sent += size

    await _pump(upstream, downstream, count)


async def _pump(source: Wire, sink: Wire, count: Callable[[int], None]) -> None:
    full = 0
    while size := await source.receive_into(_buffer):
        await sink.send(_buffer[:size])
        count(size)
        full = full + 1 if size == BUFFER else 0
        if full == BULK and source.plain and sink.plain:
            await _splice(source, sink, count)
            break
    _finish(sink)


async def _splice(source: Wire, sink: Wire, count: Callable[[int], None]) -> None:
    """Have the kernel move the bytes, through a pipe and past us, until the source ends (splice(2))."""
    exit_, entry = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    flags = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
    rounds = 0
    try:
        try:
            fcntl.fcntl(entry, fcntl.F_SETPIPE_SZ, PIPE)
        except OSError:
            pass  # the user's share of pipes is used up: a small one works as well, only slower
        while True:
            await source.until_readable()
            try:
                left = os.splice(source.sock.fileno(), entry, PIPE, flags=flags)
            except BlockingIOError:  # the pipe is empty here, so it is the source that has nothing
                source.readable = False
                continue
            if not left:
                return
            count(left)
            while left:
                try:
                    left -= os.splice(exit_, sink.sock.fileno(), left, flags=flags)
                except BlockingIOError:
                    sink.writable = False
                    await sink.until_writable()
            rounds += 1
            if rounds % IN_A_ROW == 0:
                await trio.lowlevel.checkpoint()
    finally:
        os.close(exit_)
        os.close(entry)


def _finish(sink: Wire) -> None:
    try:
        sink.finish()
    except OSError:
        pass  # it has gone meanwhile, as its own pump will notice
