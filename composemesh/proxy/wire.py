"""Non-blocking sockets that a `Reactor` wakes: what a task reads from, and writes to.

An edge is told only once, so what it said is remembered. `readable` means "a read may find something" and is taken
back by a read that came back short or empty-handed; `ended` (the other side will send no more) is never taken back.
Idle connections thereby know that they were closed without anybody asking the kernel.

Reads find bytes that are already there without a checkpoint; a reader that is always served runs others in between.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import struct
import sys
import termios
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final

import outcome
import trio

from composemesh.proxy.woken import WOKEN

if TYPE_CHECKING:
    from composemesh.proxy.reactor import Reactor

CHUNK: Final = 65536
"""Bytes a read asks for. Larger reads only pay for bulk transfers, which `relay` does with a buffer of its own."""
IN_A_ROW: Final = 16
"""Full reads without waiting, after which others get their turn."""

_READABLE: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_ENDED: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
WRITABLE: Final = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR


class Wire:
    """One connected, or connecting, socket. One task may read and one may write at a time."""

    __slots__ = (
        *("_in_a_row", "_number", "_queued", "_reactor", "_reader", "_stuck", "_writer"),
        *("ended", "on_close", "on_readable", "readable", "sock", "writable"),
    )

    plain: ClassVar[bool] = True
    """Whether what is read and written here is what the socket carries, so that the kernel may move it by itself."""

    def __init__(self, sock: socket.socket, reactor: Reactor) -> None:
        self.sock = sock
        self.readable = False
        self.writable = False
        self.ended = False
        """Whether the other side has closed its half, or reset the connection."""
        self.on_readable: Callable[[], None] | None = None
        """Called by the reactor, and at a close, where no task waits to read: whoever is called reads at once, or
        takes itself off. Must not raise."""
        self.on_close: Callable[[], None] | None = None
        """Called once, when this end is closed, by whomever: for those who count connections."""
        self._reader: trio.lowlevel.Task | None = None
        self._writer: trio.lowlevel.Task | None = None
        self._in_a_row = 0
        self._queued = -1
        """Bytes that waited in the kernel when somebody last looked, since when a writer waits; -1 if nobody has."""
        self._stuck = 0.0
        """When that number last changed."""
        self._reactor = reactor
        self._number = sock.fileno()
        reactor.add(self, self._number)

    def __repr__(self) -> str:
        state = "closed" if self._number < 0 else "ended" if self.ended else "readable" if self.readable else "quiet"
        return f"<Wire {self._number} {state}>"

    def wake(self, events: int) -> None:
        """The reactor's word that something has happened."""
        if events & _READABLE:
            self.readable = True
            if events & _ENDED:
                self.ended = True
            if self._reader is not None:
                reader, self._reader = self._reader, None
                trio.lowlevel.reschedule(reader, WOKEN)
            elif self.on_readable is not None:
                self.on_readable()
        if events & WRITABLE:
            self.writable = True
            if self._writer is not None:
                writer, self._writer = self._writer, None
                trio.lowlevel.reschedule(writer, WOKEN)

    async def receive(self, size: int = CHUNK) -> bytes:
        """Read up to `size` bytes; empty at the end. Raises OSError on a reset. Safe to cancel."""
        while True:
            if self.readable:
                if self._in_a_row >= IN_A_ROW:
                    await self._take_turns()
                try:
                    data = self.sock.recv(size)
                except BlockingIOError:
                    self.readable = False
                else:
                    self._in_a_row += 1
                    if len(data) < size:
                        self._in_a_row = 0
                        self.readable = self.ended
                    return data
            await self.until_readable()

    def receive_now(self) -> bytes | None:
        """What is there, up to CHUNK; None where nothing is. Raises OSError on a reset."""
        try:
            data = self.sock.recv(CHUNK)
        except BlockingIOError:
            self.readable = False
            return None
        if len(data) < CHUNK:
            self.readable = self.ended
        return data

    async def receive_into(self, buffer: memoryview) -> int:
        """As `receive`, into a buffer; the number of bytes. Nothing is awaited once they are there."""
        while True:
            if self.readable:
                if self._in_a_row >= IN_A_ROW:
                    await self._take_turns()
                try:
                    count = self.sock.recv_into(buffer)
                except BlockingIOError:
                    self.readable = False
                else:
                    self._in_a_row += 1
                    if count < len(buffer):
                        self._in_a_row = 0
                        self.readable = self.ended
                    return count
            await self.until_readable()

    async def send(self, data: bytes | memoryview) -> None:
        """Write all of `data`. If cancelled, some of it may have gone out: close. Raises OSError.

        While this waits, `data` may be overwritten: what is left of it has been copied.
        """
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return
        rest = memoryview(bytes(data[sent:]))
        while rest:
            self.writable = False
            try:
                sent = self.sock.send(rest)
                rest = rest[sent:]
            except BlockingIOError:
                await self.until_writable()

    def send_now(self, data: bytes) -> int:
        """Write as much of `data` as there is room for, and say how much that was. Raises OSError."""
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0

    async def until_readable(self) -> None:
        """Wait until a read may find something; returns at once where it already may."""
        if self.readable:
            return
        if self._number < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if self._reader is not None:
            raise trio.BusyResourceError("another task reads from this connection")
        self._reader = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort_reader)

    async def until_writable(self) -> None:
        """Wait until a write may find room, or a connection attempt is over."""
        if self.writable:
            return
        if self._number < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if self._writer is not None:
            raise trio.BusyResourceError("another task writes to this connection")
        self._writer = trio.lowlevel.current_task()
        self._queued = -1
        await trio.lowlevel.wait_task_rescheduled(self._abort_writer)

    def is_stuck(self, now: float, limit: float) -> bool:
        """Whether a writer waits, and the other side has taken nothing for `limit` seconds; ask now and then."""
        if self._writer is None:
            return False
        try:
            queued = int.from_bytes(fcntl.ioctl(self._number, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        except OSError:
            return False
        if queued != self._queued:
            self._queued, self._stuck = queued, now
        return now - self._stuck > limit

    def is_quiet(self) -> bool:
        """Whether an idle connection can be used: nothing to read, neither bytes nobody asked for nor an end."""
        if self.ended:
            return False
        if not self.readable:
            return True
        try:
            self.peek(1)
        except BlockingIOError:
            self.readable = False  # the edge told of what was read meanwhile
            return True
        except OSError:
            pass
        return False

    def peek(self, size: int) -> bytes:
        """What the next read would find, left unread. Raises OSError, also where there is nothing."""
        return self.sock.recv(size, socket.MSG_PEEK)

    def hand_over(self, heir: Wire) -> None:
        """Let `heir` be this connection from now on, and be closed. Nobody may wait here.

        The socket stays registered: its edges were told once, so what is known of it is handed over too.
        """
        if self._reader is not None or self._writer is not None:
            raise trio.BusyResourceError("another task uses this connection")
        # One by one: compiled, a class has no __slots__ to go through.
        heir.sock, heir._reactor, heir._number = self.sock, self._reactor, self._number
        heir.readable, heir.writable, heir.ended = self.readable, self.writable, self.ended
        heir.on_readable, heir.on_close = self.on_readable, self.on_close
        heir._reader = heir._writer = None
        heir._in_a_row, heir._queued, heir._stuck = self._in_a_row, self._queued, self._stuck
        if self._number >= 0:
            self._reactor.give(self._number, heir)
        self._number = -1

    def close(self) -> None:
        """Close in order. Whoever still waits here gets an OSError. Idempotent."""
        if self._number < 0:
            return
        self._reactor.remove(self._number)
        self._number = -1
        self.sock.close()
        for task in (self._reader, self._writer):
            if task is not None:  # an outcome for each: it can be unwrapped only once
                trio.lowlevel.reschedule(task, outcome.Error(OSError(errno.EBADF, os.strerror(errno.EBADF))))
        self._reader = self._writer = None
        if self.on_readable is not None:
            self.on_readable()
        if self.on_close is not None:
            self.on_close()

    def reset(self) -> None:
        """Close with a RST, so that the other side sees a failure and not a short but complete answer."""
        if self._number >= 0:
            try:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                pass  # it is gone already
            self.close()

    def finish(self) -> None:
        """Say that nothing more will be sent; reading goes on. Raises OSError where the other side has gone."""
        self.sock.shutdown(socket.SHUT_WR)

    async def _take_turns(self) -> None:
        """Before a read, never after one: a cancellation must not lose what was read."""
        self._in_a_row = 0
        await trio.lowlevel.checkpoint()

    def _abort_reader(self, _: object) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _abort_writer(self, _: object) -> trio.lowlevel.Abort:
        self._writer = None
        return trio.lowlevel.Abort.SUCCEEDED
