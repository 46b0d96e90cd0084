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
from composemesh.proxy.codec.h2 import Code, Gone
from composemesh.proxy.codec.parts import NO_FIELDS
from composemesh.proxy.multiplex import Link, Stream
from composemesh.proxy.refuse import Cut
from composemesh.proxy.relay import Moved
from composemesh.proxy.serve import opened, serve, tell

if TYPE_CHECKING:
    from composemesh.model.peer import Peer
    from composemesh.proxy.chain.live import Filters
    from composemesh.proxy.cluster import Cluster
    from composemesh.proxy.codec.parts import Fields, RequestHead, ResponseHead
    from composemesh.proxy.connection import Connection
    from composemesh.proxy.edge import Edge
    from composemesh.proxy.exchange import Exchange, Upstream
    from composemesh.proxy.load import Load
    from composemesh.proxy.wire import Reactor
    from composemesh.telemetry.hub import Hub

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
        while True:
            with trio.CancelScope() as scope:
                while True:
                    await self._exchange(down, event, scope)
                    if len(self._resting) >= MOST_RESTING:
                        return
                    down, event = await self._rest()
            if len(self._resting) >= MOST_RESTING:
                return
            down, event = await self._rest()

    async def _rest(self) -> tuple[Http2Downstream, h2.RequestOpened]:
        """The next exchange for this task."""
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


class Http2Downstream:
    """One request's end of the connection, as the spine sees it."""

    __slots__ = ("_connection", "_ended", "_lost", "_moved", "_scope", "_stream", "_why", "trailers")

    def __init__(self, connection: Connection, stream: Stream) -> None:
        self._connection = connection
        self._stream = stream
        self._scope: trio.CancelScope | None = None
        """While it is served."""
        self._lost = False
        self._ended = False
        self._moved: Moved | None = None
        """What has passed, once the stream is a tunnel."""
        self._why: Flag | None = None
        self.trailers = NO_FIELDS
        stream.on_reset = self._give_up

    def __repr__(self) -> str:
        return f"<Http2Downstream {self._stream!r}>"

    @property
    def source(self) -> Peer:
        return self._connection.source

    @property
    def port(self) -> int:
        return self._connection.port

    @property
    def peer_address(self) -> bytes:
        return self._connection.peer_address

    @property
    def peer_text(self) -> str:
        return self._connection.peer_text

    @property
    def load(self) -> Load:
        return self._connection.load

    @property
    def edge(self) -> Edge | None:
        return self._connection.edge

    @property
    def filters(self) -> Filters:
        return self._connection.filters

    @property
    def hub(self) -> Hub:
        return self._connection.hub

    @property
    def reactor(self) -> Reactor:
        return self._connection.reactor

    def introduction(self, version: int) -> bytes:
        return self._connection.introduction(version)

    def cluster(self) -> Cluster:
        return self._connection.cluster()

    @property
    def why(self) -> Flag:
        return self._why or self._connection.why

    def end(self, flag: Flag) -> None:
        """Cancel the exchange."""
        self._why = flag
        self._give_up()

    def _give_up(self) -> None:
        self._lost = True
        if self._scope is not None:
            self._scope.cancel()

    async def serve(self, event: h2.RequestOpened, scope: trio.CancelScope) -> None:
        """Serve the request to its end. A client that gives it up takes it back whole, and `scope` is cancelled."""
        code = Code.CANCEL
        self._scope = scope
        self.load.requests += 1
        try:
            if self._lost:
                self._give_up_unbegun(event.head)
                return
            body, self._ended = self._at_hand(event.end)
            await serve(self, event.head, body, self._ended)
            code = Code.NO_ERROR  # of no effect unless the client still has something to send
        except Cut:
            code = Code.INTERNAL_ERROR
        finally:
            self.load.requests -= 1
            self._scope = None  # it may be another's from here on
            self._stream.drop(code)

    def _give_up_unbegun(self, head: RequestHead) -> None:
        """It was taken back in the breath in which it came. No server needs to hear of it: the record does."""
        x = opened(self, head, b"", False, self.cluster().named(head.authority))
        x.record.flag = self.why
        tell(x, self)

    def _at_hand(self, ended: bool) -> tuple[bytes, bool]:
        """As much of the body as has come with the head: where that is all, nobody needs to pump."""
        body = b""
        while not ended and (event := self._stream.next_now()) is not None:
            if not isinstance(event, h2.BodyCame):
                self._stream.put_back(event)
                break
            body += self._stream.accept(event)
            ended = event.end
        return body, ended

    async def read(self, x: Exchange) -> bytes:
        while not self._ended:
            event = await self._stream.next()
            if isinstance(event, h2.BodyCame):
                self._ended = event.end
                x.ended = event.end
                payload = self._stream.accept(event)
                if self._moved is not None:
                    self._moved.received += len(payload)
                if payload:
                    return payload
            elif isinstance(event, h2.Trailers):
                self._ended = x.ended = True
                self.trailers = event.fields
            else:
                raise Cut(Flag.DOWNSTREAM_CONNECTION_TERMINATION)
        return b""

    async def interim(self, head: ResponseHead) -> None:
        try:
            self._stream.link.codec.send_head(self._stream.number, head.status, head.fields)
        except Gone:
            raise Cut(Flag.DOWNSTREAM_CONNECTION_TERMINATION) from None
        self._stream.link.flush()

    async def respond(self, x: Exchange, head: ResponseHead, fields: Fields, payload: bytes, ended: bool) -> None:
        x.answered = True
        if self._connection.unsure and x.record.upstream_duration:
            self._connection.heard_http()
        try:
            self._stream.link.codec.send_head(self._stream.number, head.status, fields, ended and not payload)
            if payload:
                await self._stream.send(payload, end=ended)
            else:
                self._stream.link.flush()
        except Gone:
            raise Cut(Flag.DOWNSTREAM_CONNECTION_TERMINATION) from None

    async def send(self, payload: bytes) -> None:
        try:
            await self._stream.send(payload)
        except Gone:
            raise Cut(Flag.DOWNSTREAM_CONNECTION_TERMINATION) from None

    async def finish(self, trailers: Fields) -> None:
        codec = self._stream.link.codec
        try:
            if trailers:
                codec.send_trailers(self._stream.number, trailers)
            else:
                codec.end(self._stream.number)
        except Gone:
            raise Cut(Flag.DOWNSTREAM_CONNECTION_TERMINATION) from None
        self._stream.link.flush()

    async def tunnel(self, x: Exchange, up: Upstream, head: ResponseHead, fields: Fields, data: bytes) -> None:
        """In HTTP/2 a tunnel is a stream like any other: what the client sends is being pumped already."""
        x.record.bytes_sent = len(data)
        await self.respond(x, head, fields, data, False)
        if x.whole:
            await _finish(up)  # it had nothing to send
        assert self._connection.http2 is not None, "this is a stream of it"
        tunnels = self._connection.http2.tunnels
        tunnels[self] = self._moved = moved = Moved()
        try:
            while payload := await up.read():
                x.record.bytes_sent += len(payload)
                moved.sent += len(payload)
                await self.send(payload)
            await self.finish(up.trailers)
        finally:
            del tunnels[self]


async def _finish(up: Upstream) -> None:
    try:
        await up.finish(NO_FIELDS)
    except OSError:
        pass  # it has gone meanwhile, as the next read finds out
