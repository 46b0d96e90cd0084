"""A caller that speaks HTTP/2: each request is a task of its own, and none waits for another."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import outcome
import trio

from composemesh.model.flag import Flag
from composemesh.model.record import Record
from composemesh.proxy.codec import h2
from composemesh.proxy.downstream.h2_stream import Http2Downstream
from composemesh.proxy.multiplex import Link
from composemesh.proxy.stream import Stream

if TYPE_CHECKING:
    from composemesh.proxy.connection import Connection
    from composemesh.proxy.relay import Moved

MOST_RESTING = 16
"""Tasks of a connection that wait for another exchange; each keeps 2 KiB."""


class Http2Connection:
    """The whole connection: opens exchanges, and ends when it drains and the last of them has ended."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        codec = h2.ServerConnection(h2.limits_for(connection.load.heads))
        self._link = Link(connection.wire, codec, connection.reactor)
        self._link.on_refused = self._refused
        self._link.patience = connection.load.limits.slow_reader_timeout or math.inf
        self._scope = trio.CancelScope()
        self._resting: list[trio.lowlevel.Task] = []
        """Tasks that have served an exchange and wait for another."""
        self.tunnels: dict[Http2Downstream, Moved] = {}
        """Streams that have become tunnels, and what has passed through each."""

    def __repr__(self) -> str:
        return f"<Http2Connection {self._link!r}>"

    async def run(self, first: bytes) -> None:
        """Serve until either side has had enough. If cancelled, exchanges under way are lost."""
        connection = self._connection
        connection.http2 = self
        self._idle()
        async with trio.open_nursery() as self._nursery:
            with self._scope:
                await self._link.run(self._open, first)
            self._nursery.cancel_scope.cancel()

    def _open(self, event: h2.RequestOpened) -> None:
        self._connection.exchanging = True
        self._connection.deadline = math.inf
        down = Http2Downstream(self._connection, Stream(self._link, event.stream))
        if self._resting:
            trio.lowlevel.reschedule(self._resting.pop(), outcome.Value((down, event)))
        else:
            self._nursery.start_soon(self._serve_exchanges, down, event)

    async def _serve_exchanges(self, down: Http2Downstream, event: h2.RequestOpened) -> None:
        """One exchange after the other, for as long as there are some: a task and a cancel scope for each would cost
        a tenth of a small call. A scope that was cancelled is spent, and so another takes its place."""
        given: tuple[Http2Downstream, h2.RequestOpened] | None = (down, event)
        while given is not None:
            with trio.CancelScope() as scope:
                while given is not None:
                    await self._exchange(*given, scope)
                    given = await self._rest()
            if scope.cancelled_caught:
                given = await self._rest()

    async def _rest(self) -> tuple[Http2Downstream, h2.RequestOpened] | None:
        """The next exchange for this task; None where enough others wait for one."""
        if len(self._resting) >= MOST_RESTING:
            return None
        task = trio.lowlevel.current_task()
        self._resting.append(task)

        def abort(_: object) -> trio.lowlevel.Abort:
            self._resting.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        next_: tuple[Http2Downstream, h2.RequestOpened] = await trio.lowlevel.wait_task_rescheduled(abort)
        return next_

    async def _exchange(self, down: Http2Downstream, event: h2.RequestOpened, scope: trio.CancelScope) -> None:
        try:
            await down.serve(event, scope)
        finally:
            if not self._link.streams:
                self._idle()
                if self._connection.draining:
                    self._scope.cancel()

    def _idle(self) -> None:
        self._connection.idle()

    def _refused(self, event: h2.StreamReset) -> None:
        """A request that was malformed: recorded, and not a byte of it travels on."""
        record = Record(self._connection.source, self._connection.cluster().unreached, "http")
        record.start = time.time()
        record.flag = Flag.DOWNSTREAM_PROTOCOL_ERROR
        self._connection.hub.tell(record)

    def drain(self) -> None:
        """Let the client open no new stream; the connection ends with the last."""
        self._link.codec.goaway()
        self._link.flush()

    def look_after(self, now: float) -> None:
        """See `Link.look_after`; a tunnel through which nothing passes for too long is ended, as in HTTP/1.1."""
        self._link.look_after(now)
        limit = self._connection.load.limits.idle_timeout or math.inf
        for down, moved in tuple(self.tunnels.items()):
            if moved.idle(now) > limit:
                down.end(Flag.STREAM_IDLE_TIMEOUT)
