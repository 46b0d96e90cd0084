"""Non-blocking sockets under trio, with as few trips to the scheduler as the work allows.

trio's streams cost about 20 µs more a request than these functions: each of their calls is a checkpoint, and most
of ours find the bytes already there. The price is that a caller which never has to wait never yields either, so a
loop over `receive` must meet a `receive_later`, or a checkpoint of its own.
"""

from __future__ import annotations

import socket
import struct

import trio

CHUNK = 65536
"""Bytes a read asks for. Larger reads only pay for bulk transfers, which `relay` does with a buffer of its own."""

wait_readable = trio.lowlevel.wait_readable
wait_writable = trio.lowlevel.wait_writable


async def receive(sock: socket.socket, size: int = CHUNK) -> bytes:
    """Read where bytes are likely to be there already. Empty at end of file; raises OSError on a reset."""
    while True:
        try:
            return sock.recv(size)
        except BlockingIOError:
            await wait_readable(sock)


async def receive_later(sock: socket.socket, size: int = CHUNK) -> bytes:
    """Read where the other side has yet to speak: waits first. Empty at end of file; raises OSError on a reset."""
    while True:
        await wait_readable(sock)
        try:
            return sock.recv(size)
        except BlockingIOError:
            continue


async def send(sock: socket.socket, data: bytes) -> None:
    """Write all of `data`. If cancelled, some of it may have gone out: close the socket. Raises OSError."""
    try:
        sent = sock.send(data)
    except BlockingIOError:
        sent = 0
    if sent == len(data):
        return
    rest = memoryview(data)[sent:]
    while rest:
        await wait_writable(sock)
        try:
            rest = rest[sock.send(rest) :]
        except BlockingIOError:
            continue


def is_quiet(sock: socket.socket) -> bool:
    """Whether an idle connection can be used: nothing to read, neither bytes that nobody asked for nor an end."""
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def has_left(sock: socket.socket) -> bool:
    """Whether the other side has closed or reset the connection."""
    try:
        return sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def reset(sock: socket.socket) -> None:
    """Close with a RST, so that the other side sees a failure and not a short but complete answer."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass  # it is gone already
    sock.close()
