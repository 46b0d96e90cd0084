"""A caller that speaks HTTP/1.1: its requests, one after the other, for as long as the connection lasts."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

import trio

from composemesh.model.flag import Flag
from composemesh.model.record import Record
from composemesh.proxy.codec.body import LAST_CHUNK, BodyReader, ChunkedBody, body_reader, encode_chunk, encode_end
from composemesh.proxy.codec.h1 import HeadBuffer, encode_response, parse_request
from composemesh.proxy.codec.parts import HTTP2, NO_FIELDS, Fields, Malformed, RequestHead, ResponseHead
from composemesh.proxy.downstream.tunnel import tunnel
from composemesh.proxy.exchange import Exchange
from composemesh.proxy.headers import takes_trailers, trailer_fields
from composemesh.proxy.lane import Lane
from composemesh.proxy.refuse import Cut, Refused, refusal
from composemesh.proxy.relay import Moved
from composemesh.proxy.serve import resume, serve

if TYPE_CHECKING:
    from composemesh.proxy.cluster import Cluster
    from composemesh.proxy.connection import Connection
    from composemesh.proxy.exchange import Upstream

HEAD_TIMEOUT = 10.0
"""Seconds from the first byte of a request's head to its last; slower clients are attacks, or broken."""
LINGER: Final = 1.0
"""Seconds to read and throw away what a client still sends after its last answer, so that it can see that answer."""

SIP: Final = 4096
"""Bytes of a body in crumbs that are looked at before others have their turn: 64 KiB of them take ten ms."""

_CHUNKED: Final = (b"transfer-encoding", b"chunked")
_CLOSE: Final = (b"connection", b"close")
_KEEP_ALIVE: Final = (b"connection", b"keep-alive")


class Http1Downstream:
    """One connection, as the spine sees it while it serves a request from it."""

    __slots__ = (
        *("_ahead", "_chunked", "_connection", "_lane", "_reader", "_takes_trailers", "_version", "_wire"),
        *("edge", "filters", "hub", "keep", "load", "peer_address", "peer_text", "port", "reactor", "rest"),
        *("source", "trailers"),
    )

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._wire = connection.wire
        self._lane = Lane(self, connection)
        self._reader: BodyReader | None = None
        """What reads the rest of the present request's body."""
        self._ahead = b""
        """What has come of that body and was not looked at yet."""
        self.rest = b""
        """What the client sent after the present request: the beginning of the next."""
        self.keep = True
        """Whether the connection goes on after the present exchange."""
        self._chunked = False
        self._version = 11
        self._takes_trailers = False
        self.trailers = NO_FIELDS
        self.source = connection.source
        self.port = connection.port
        self.peer_address = connection.peer_address
        self.peer_text = connection.peer_text
        self.edge = connection.edge
        self.filters = connection.filters
        self.hub = connection.hub
        self.load = connection.load
        self.reactor = connection.reactor

    def __repr__(self) -> str:
        return f"<Http1Downstream {self._connection!r}>"

    @property
    def why(self) -> Flag:
        return self._connection.why

    def introduction(self, version: int) -> bytes:
        return self._connection.introduction(version)

    def cluster(self) -> Cluster:
        return self._connection.cluster()

    async def run(self, data: bytes) -> None:
        """Serve requests, of which `data` is the first to have arrived, until either side has had enough.

        Raises OSError where the client has gone. If cancelled, close the connection.
        """
        connection = self._connection
        while True:
            x: Exchange | None = None
            if not data:
                connection.idle()
                x, data = await self._lane.run()
                if x is None and not data:
                    if not self.keep:
                        await self._linger()
                    return
            connection.exchanging = True
            if x is None:
                end = data.find(b"\r\n\r\n") + 4
                try:
                    if 3 < end <= self.load.heads.head:
                        raw, data = data[:end], data[end:]
                    else:
                        raw, data = await self._slow_head(data)
                        if not raw:
                            return
                    head = parse_request(raw, self.load.heads)
                    body, whole = self.take_body(head, data)
                except Malformed as problem:
                    await self._refuse_malformed(problem)
                    return
                self.begin(head, whole)
                exchange = serve(self, head, body, whole)
            else:
                exchange = resume(x, self)
            try:
                x = await exchange
            except BaseException as failure:
                self._wire.reset()  # after an orderly close, a body that ends with its connection passes for complete
                if isinstance(failure, Cut):
                    return
                raise
            finally:
                self.end()
            if connection.unsure and x.record.upstream_duration:
                connection.heard_http()
            if not self.keep or connection.draining:
                await self._linger()
                return
            data = self.rest

    def begin(self, head: RequestHead, whole: bool) -> None:
        """From now on an answer is awaited, unless the request itself still is."""
        connection = self._connection
        connection.exchanging = True
        connection.deadline = math.inf
        connection.waiting = time.monotonic() if whole else 0.0
        self.keep = head.keep_alive
        self._version = head.version
        self.load.requests += 1

    def end(self) -> None:
        """No answer is awaited any more."""
        self._connection.waiting = 0.0
        self.load.requests -= 1

    def take_body(self, head: RequestHead, data: bytes) -> tuple[bytes, bool]:
        """Split what came after the head into the body, and what follows it. Raises Malformed."""
        length = head.body
        self._reader = None
        self._ahead = b""
        self.trailers = NO_FIELDS
        if length == 0:
            self.rest = data
            return b"", True
        if 0 < length <= len(data):
            self.rest = data[length:]
            return data[:length], True
        reader = body_reader(length)
        body = self._feed(reader, data) if data else b""
        if not reader.done:
            self._reader = reader
            return body, False
        self.rest = reader.rest
        self.trailers = trailer_fields(reader.trailers)
        return body, not self.trailers

    async def read(self, x: Exchange) -> bytes:
        reader = self._reader
        if reader is None:
            x.ended = True
            return b""
        payload = b""
        while not payload and not reader.done:
            if self._ahead:
                data, self._ahead = self._ahead, b""
                await trio.lowlevel.checkpoint()
            else:
                try:
                    data = await self._wire.receive()
                except OSError:
                    data = b""
                if not data:
                    raise Cut(Flag.DOWNSTREAM_CONNECTION_TERMINATION)
            payload = self._feed(reader, data)
        if reader.done:
            self.rest, self._reader = reader.rest, None
            self.trailers = trailer_fields(reader.trailers)
            x.ended = True
            self._connection.waiting = time.monotonic()
        return payload

    def _feed(self, reader: BodyReader, data: bytes) -> bytes:
        """The payload in what has come; of crumbs, in a sip of it. Raises Malformed."""
        if len(data) <= SIP or not isinstance(reader, ChunkedBody) or reader.left >= len(data):
            return reader.feed(data)
        payload = reader.feed(data[:SIP])
        if reader.done:
            reader.rest += data[SIP:]
        elif len(payload) < SIP // 2:
            self._ahead = data[SIP:]
        else:
            payload += reader.feed(data[SIP:])
        return payload

    async def interim(self, head: ResponseHead) -> None:
        if self._version >= 11:
            await self._write(encode_response(head.status, head.reason, head.fields))

    async def respond(self, x: Exchange, head: ResponseHead, fields: Fields, payload: bytes, ended: bool) -> None:
        await self._write(self.response(x, head, fields, payload, ended))

    def response(self, x: Exchange, head: ResponseHead, fields: Fields, payload: bytes, ended: bool) -> bytes:
        """What to send of the response, as far as it is there."""
        x.answered = True
        length_known = head.body >= 0
        if ended and head.version == HTTP2 and _lacks_length(x, head):
            length_known = True  # HTTP/2 need not say it: the end of the stream does
            fields.append((b"content-length", b"%d" % len(payload)))
        self._chunked = chunked = not length_known and self._version >= 11
        if chunked:
            fields.append(_CHUNKED)
            self._takes_trailers = takes_trailers(x.head.values)
        elif not length_known:
            self.keep = False  # HTTP/1.0 knows no other end of such a body than the connection's
        if self._connection.draining or not x.ended:
            self.keep = False
        if not self.keep:
            fields.append(_CLOSE)
        elif self._version < 11:
            fields.append(_KEEP_ALIVE)
        out = encode_response(head.status, head.reason, fields)
        if payload:
            out += encode_chunk(payload) if chunked else payload
        if ended and chunked:
            out += LAST_CHUNK
        return out

    async def send(self, payload: bytes) -> None:
        await self._write(encode_chunk(payload) if self._chunked else payload)

    async def finish(self, trailers: Fields) -> None:
        if self._chunked:
            await self._write(encode_end(trailers) if trailers and self._takes_trailers else LAST_CHUNK)

    async def tunnel(self, x: Exchange, up: Upstream, head: ResponseHead, fields: Fields, data: bytes) -> None:
        self.keep = False
        self._connection.waiting = 0.0
        x.answered = True
        if head.upgrade:
            fields.append((b"connection", b"upgrade"))
            fields.append((b"upgrade", head.upgrade))
        await self._write(encode_response(head.status, head.reason, fields) + data)
        moved = Moved()
        self._connection.pumps(moved, self.load.limits.idle_timeout)
        try:
            await tunnel(self._wire, up, self.rest, moved)
        finally:
            x.record.bytes_received += moved.received + len(self.rest)
            x.record.bytes_sent += moved.sent + len(data)

    async def _write(self, data: bytes) -> None:
        try:
            await self._wire.send(data)
        except OSError:
            raise Cut(Flag.DOWNSTREAM_CONNECTION_TERMINATION) from None

    async def _slow_head(self, data: bytes) -> tuple[bytes, bytes]:
        """A head that arrives in pieces; empty where the client left before it was whole. Raises Malformed, also for
        one that takes too long."""
        self._connection.deadline = math.inf
        buffer = HeadBuffer(self.load.heads)
        with trio.move_on_after(HEAD_TIMEOUT):
            while data:
                if buffer.feed(data):
                    return buffer.head, buffer.rest
                data = await self._wire.receive()
            return b"", b""
        raise Malformed(408, "the head took too long")

    async def _refuse_malformed(self, problem: Malformed) -> None:
        """What isn't HTTP is answered, recorded and forgotten: not a byte of it travels on."""
        record = Record(self.source, self.cluster().unreached, "http")
        record.start = time.time()
        record.flag = Flag.DOWNSTREAM_PROTOCOL_ERROR
        record.response_code = problem.status
        self.hub.tell(record)
        head, body = refusal(Refused(record.flag, problem.reason, problem.status))
        await self._wire.send(encode_response(head.status, b"", [*head.fields, _CLOSE]) + body)
        await self._linger()

    async def _linger(self) -> None:
        """Close so that the client can still read the answer: bytes left unread would turn the close into a reset."""
        try:
            self._wire.finish()
        except OSError:
            return
        with trio.move_on_after(LINGER):
            while await self._wire.receive():
                pass


def _lacks_length(x: Exchange, head: ResponseHead) -> bool:
    """Whether a client of HTTP/1.1 would not know where this response ends."""
    return b"content-length" not in head.values and head.status not in (204, 304) and x.head.method != b"HEAD"
