"""Opaque bytes, pumped both ways with back-pressure: TCP services, and HTTP connections after an upgrade."""

from __future__ import annotations

import socket

import trio

from composemesh.proxy.wire import reset, wait_readable, wait_writable

BUFFER = 256 * 1024
"""Bytes a pump moves at a time: measured best for bulk transfers through Python."""
IN_A_ROW = 16
"""Buffers a pump moves without waiting before it lets others run."""


class Moved:
    """What has passed so far; shared with telemetry, which reads it while the relay runs."""

    __slots__ = ("received", "sent")

    def __init__(self) -> None:
        self.received = 0
        """Bytes from the downstream."""
        self.sent = 0
        """Bytes to the downstream."""


async def relay(downstream: socket.socket, upstream: socket.socket, moved: Moved) -> bool:
    """Pump until both directions have ended; a half-close is passed on as one, and a reset as a reset.

    Returns whether both sides ended in order. Closes both sockets. If cancelled, both are reset: whoever waits for
    the rest must not take what it has for the whole.
    """
    orderly = False
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_pump, downstream, upstream, moved, True)
            nursery.start_soon(_pump, upstream, downstream, moved, False)
        orderly = True
    except* OSError:
        pass  # one side was reset: so is the other, below
    finally:
        for sock in (downstream, upstream):
            if orderly:
                sock.close()
            else:
                reset(sock)
    return orderly


async def _pump(source: socket.socket, sink: socket.socket, moved: Moved, upwards: bool) -> None:
    buffer = memoryview(bytearray(BUFFER))
    in_a_row = 0
    while True:
        try:
            count = source.recv_into(buffer)
        except BlockingIOError:
            in_a_row = 0
            await wait_readable(source)
            continue
        if not count:
            break
        await _send(sink, buffer[:count])
        if upwards:
            moved.received += count
        else:
            moved.sent += count
        in_a_row += 1
        if in_a_row == IN_A_ROW:
            in_a_row = 0
            await trio.lowlevel.checkpoint()
    try:
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # it has gone meanwhile, as its own pump will notice


async def _send(sink: socket.socket, rest: memoryview) -> None:
    while rest:
        try:
            rest = rest[sink.send(rest) :]
        except BlockingIOError:
            await wait_writable(sink)
