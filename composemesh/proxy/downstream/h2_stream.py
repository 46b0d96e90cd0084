"""One request that came in HTTP/2, as the spine sees who asks: the downstream end of its exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING

from composemesh.model.flag import Flag
from composemesh.proxy.codec import h2
from composemesh.proxy.codec.h2 import Code, Gone
from composemesh.proxy.codec.parts import NO_FIELDS
from composemesh.proxy.refuse import Cut
from composemesh.proxy.relay import Moved
from composemesh.proxy.serve import opened, serve, tell

if TYPE_CHECKING:
    import trio

    from composemesh.model.peer import Peer
    from composemesh.proxy.chain.live import Filters
    from composemesh.proxy.cluster import Cluster
    from composemesh.proxy.codec.parts import Fields, RequestHead, ResponseHead
    from composemesh.proxy.connection import Connection
    from composemesh.proxy.edge import Edge
    from composemesh.proxy.exchange import Exchange, Upstream
    from composemesh.proxy.load import Load
    from composemesh.proxy.reactor import Reactor
    from composemesh.proxy.stream import Stream
    from composemesh.telemetry.hub import Hub


class Http2Downstream:
    """One request's end of the connection, as the spine sees it."""

    __slots__ = ("_answered", "_connection", "_ended", "_lost", "_moved", "_scope", "_stream", "_why", "trailers")

    def __init__(self, connection: Connection, stream: Stream) -> None:
        self._connection = connection
        self._stream = stream
        self._scope: trio.CancelScope | None = None
        """While it is served."""
        self._lost = False
        self._ended = False
        self._answered = False
        """Whether the answer has been given to its end. Who then takes the request back, as one who is still sending
        may, has not given it up."""
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
        if self._scope is not None and not self._answered:
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
        link = self._stream.link
        try:
            link.codec.send_head(self._stream.number, head.status, head.fields)
        except Gone:
            raise Cut(Flag.DOWNSTREAM_CONNECTION_TERMINATION) from None
        link.flush()
        if link.congested:
            await link.relief()

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
            self._answered = ended
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
        self._answered = True
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
