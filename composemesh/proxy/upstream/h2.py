"""An endpoint spoken to in HTTP/2: many requests at a time on one connection."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from composemesh.model.flag import Flag
from composemesh.proxy.codec import h2
from composemesh.proxy.codec.h2 import Code, Gone
from composemesh.proxy.codec.parts import HTTP2, NO_FIELDS
from composemesh.proxy.headers import takes_trailers, without_length
from composemesh.proxy.multiplex import Link
from composemesh.proxy.refuse import Broken, Cut, Refused
from composemesh.proxy.stream import Stream
from composemesh.proxy.upstream.upgrade import ACCEPT, KEY, accept_of, asks_for_tunnel, protocols, without_accept

if TYPE_CHECKING:
    from composemesh.model.policy import ConnectionLimits
    from composemesh.proxy.codec.parts import Fields, ResponseHead
    from composemesh.proxy.exchange import Downstream, Exchange
    from composemesh.proxy.reactor import Reactor
    from composemesh.proxy.wire import Wire

Http2Link = Link[h2.ClientConnection]


def new_link(wire: Wire, reactor: Reactor, limits: ConnectionLimits) -> Http2Link:
    """Begin to speak HTTP/2 on a connection, with prior knowledge (RFC 9113, 3.3)."""
    link = Link(wire, h2.ClientConnection(), reactor)
    link.left = limits.max_requests_per_connection or math.inf
    link.expires = link.idle_since + (limits.max_connection_duration or math.inf)
    reactor.start(link.run)
    return link


class Http2Upstream:
    """One exchange on a connection to an endpoint."""

    __slots__ = ("_ended", "_link", "_stream", "reused", "trailers", "untaken", "wire")

    def __init__(self, link: Http2Link) -> None:
        self.wire = None
        """The connection is everybody's."""
        self.reused = False
        self.trailers = NO_FIELDS
        self.untaken = b""
        self._link = link
        self._stream: Stream | None = None
        self._ended = False

    def __repr__(self) -> str:
        return f"<Http2Upstream {self._stream!r}>"

    def abort(self) -> None:
        if self._stream is not None:
            self._link.codec.reset(self._stream.number, Code.CANCEL)  # before who waits for a window looks again
            self._link.flush()
            self._stream.put(h2.StreamReset(self._stream.number, Code.CANCEL, True, "given up"))

    def release(self, x: Exchange) -> None:
        if self._stream is not None:
            self._stream.drop(Code.CANCEL)
        else:
            self._link.leave()
        codec = self._link.codec
        if not self._link.streams and (codec.stopped or not codec.room):
            self._link.close()  # its server takes nothing more here, and need not be waited for to close it

    async def ask(self, x: Exchange, fields: Fields) -> None:
        head = x.head
        if takes_trailers(head.values):  # for one hop only, but each hop here can do what it asks for
            fields = [*fields, (b"te", b"trailers")]
        end = x.whole and not x.body
        upgrade = b""
        if asks_for_tunnel(head):
            end = False
            fields = without_length(fields)
            upgrade = b"".join(protocols(head))
        try:
            if self._link.closed:
                raise Gone
            number = self._link.codec.send_head(head.method, x.authority, head.path, fields, end, upgrade=upgrade)
            self._stream = Stream(self._link, number)
            self._link.left -= 1
            if self._link.left <= 0:
                self._link.retire()
            if x.body:
                self.untaken = x.body[self._link.codec.send_data(number, x.body, x.whole) :]
            self._link.flush()
        except Gone:
            raise Broken(Flag.UPSTREAM_CONNECTION_TERMINATION, "connection lost", unsent=True) from None

    async def send_untaken(self, x: Exchange) -> None:
        await self._send(self.untaken, end=x.whole)
        self.untaken = b""

    async def send(self, payload: bytes) -> None:
        await self._send(payload)

    async def _send(self, payload: bytes, *, end: bool = False) -> None:
        assert self._stream is not None, "ask comes first"
        try:
            await self._stream.send(payload, end=end)
        except Gone:
            raise BrokenPipeError from None

    async def finish(self, trailers: Fields) -> None:
        assert self._stream is not None, "ask comes first"
        try:
            if trailers:
                self._link.codec.send_trailers(self._stream.number, trailers)
            else:
                self._link.codec.end(self._stream.number)
        except Gone:
            raise BrokenPipeError from None
        self._link.flush()

    async def answer(self, x: Exchange, down: Downstream) -> tuple[ResponseHead, bytes, bool]:
        assert self._stream is not None, "ask comes first"
        while True:
            event = await self._stream.next()
            if isinstance(event, h2.ResponseHeadCame):
                break
            if isinstance(event, h2.InterimCame):
                if event.head.status != 100 or x.head.expect_continue:
                    x.replayable = False
                    await down.interim(event.head)
                continue
            if isinstance(event, h2.StreamReset):
                if not event.remote:
                    raise Refused(Flag.UPSTREAM_PROTOCOL_ERROR, event.reason)
                refused = event.code == Code.REFUSED_STREAM
                raise Broken(Flag.UPSTREAM_CONNECTION_TERMINATION, event.reason or "reset", unsent=refused)
        self._ended = event.end
        key = x.head.values.get(KEY)
        if event.head.status == 101 and x.head.version < HTTP2 and key is not None:
            event.head.fields = [*without_accept(event.head.fields), (ACCEPT, accept_of(key))]
        payload = b""
        body = self._stream.next_now() if not event.end else None
        if isinstance(body, h2.BodyCame):
            payload = self._stream.accept(body)
            self._ended = body.end
        elif body is not None:
            self._stream.put_back(body)
        return event.head, payload, self._ended

    async def read(self) -> bytes:
        assert self._stream is not None, "ask comes first"
        while not self._ended:
            event = await self._stream.next()
            if isinstance(event, h2.BodyCame):
                self._ended = event.end
                payload = self._stream.accept(event)
                if payload:
                    return payload
            elif isinstance(event, h2.Trailers):
                self._ended = True
                self.trailers = event.fields
            else:
                lost = isinstance(event, h2.StreamReset) and event.remote
                raise Cut(Flag.UPSTREAM_CONNECTION_TERMINATION if lost else Flag.UPSTREAM_PROTOCOL_ERROR)
        return b""
