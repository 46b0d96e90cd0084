"""One exchange's share of an HTTP/2 connection, on either side of it.

Received bodies wait in its inbox; the peer may send more when they have been passed on, not before.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import trio

from composemesh.proxy.codec import h2
from composemesh.proxy.woken import WOKEN

if TYPE_CHECKING:
    from composemesh.proxy.multiplex import Link

CRUMB = 4096
"""Bytes up to which pieces of a body are put together while they wait: each by itself, they take thirty times as much
memory as the window says."""


class Stream:
    """One exchange's share of the connection."""

    __slots__ = ("_inbox", "_opened", "_reader", "link", "number", "on_reset", "waits")

    def __init__(self, link: Link[Any], number: int) -> None:
        self.link = link
        self.number = number
        self.on_reset: Callable[[], None] | None = None
        """Called at once when the peer gives the exchange up; whoever only reads need not know."""
        self._inbox: deque[h2.Event] = deque()
        self._reader: trio.lowlevel.Task | None = None
        self._opened: trio.Event | None = None
        self.waits = 0.0
        """Since when its window has taken nothing of what is to be sent; 0 where nothing waits."""
        link.streams[number] = self

    def __repr__(self) -> str:
        return f"<Stream {self.number} of {self.link!r} inbox={len(self._inbox)}>"

    def put(self, event: h2.Event) -> None:
        """Something has happened on this stream."""
        if isinstance(event, h2.WindowOpened):
            self.may_send()
            return
        if isinstance(event, h2.BodyCame) and self._joined(event):
            return
        self._inbox.append(event)
        if self._reader is not None:
            reader, self._reader = self._reader, None
            trio.lowlevel.reschedule(reader, WOKEN)
        if isinstance(event, h2.StreamReset):
            self.may_send()
            if self.on_reset is not None:
                self.on_reset()

    def _joined(self, more: h2.BodyCame) -> bool:
        """Whether a piece of body could be added to the one before it, which waits."""
        last = self._inbox[-1] if self._inbox else None
        if not isinstance(last, h2.BodyCame) or len(last.payload) + len(more.payload) > CRUMB:
            return False
        last.payload += more.payload
        last.flow += more.flow
        last.end = more.end
        return True

    def may_send(self) -> None:
        """There is room in a window, or nothing is to be sent any more."""
        if self._opened is not None:
            self._opened.set()

    async def next(self) -> h2.Event:
        """What happened next. Safe to cancel."""
        while not self._inbox:
            if self._reader is not None:
                raise trio.BusyResourceError("another task reads from this stream")
            self._reader = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort_reader)
        return self._inbox.popleft()

    def _abort_reader(self, _: object) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def next_now(self) -> h2.Event | None:
        """What has happened already, if anything."""
        return self._inbox.popleft() if self._inbox else None

    def put_back(self, event: h2.Event) -> None:
        """It was not what was looked for: let it be the next again."""
        self._inbox.appendleft(event)

    def accept(self, event: h2.BodyCame) -> bytes:
        """Take a piece of body off the peer's account: it will be passed on now."""
        if event.flow:
            self.link.codec.acknowledge(self.number, event.flow)
            self.link.flush()
        return event.payload

    async def send(self, payload: bytes, *, end: bool = False) -> None:
        """Send a piece of body as the windows allow. Raises Gone. If cancelled, some of it may have gone out."""
        link = self.link
        while True:
            taken = link.codec.send_data(self.number, payload, end)
            link.flush()
            if taken == len(payload):
                break
            if taken or not self.waits:
                self.waits = time.monotonic()
            payload = payload[taken:]
            self._opened = trio.Event()
            await self._opened.wait()
        self.waits = 0.0
        if link.congested:
            await link.relief()

    def drop(self, code: int) -> None:
        """Be done with the stream; where it has not ended on both sides, the peer is told."""
        link = self.link
        link.streams.pop(self.number, None)
        link.codec.reset(self.number, code)
        link.flush()
        link.leave()
