"""An endpoint spoken to in HTTP/1.1: one request at a time on a connection that outlives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from composemesh.model.flag import Flag
from composemesh.proxy.codec.body import LAST_CHUNK, BodyReader, body_reader, encode_chunk
from composemesh.proxy.codec.h1 import HeadBuffer, encode_request, parse_response
from composemesh.proxy.codec.parts import LIMITS, UNTIL_CLOSE, Fields, Malformed, RequestHead, ResponseHead
from composemesh.proxy.headers import interim_fields
from composemesh.proxy.refuse import Broken, Cut, Refused

if TYPE_CHECKING:
    from composemesh.proxy.exchange import Downstream, Exchange
    from composemesh.proxy.wire import Wire

MOST_INTERIM = 16
"""Responses of class 1xx to one request; an upstream that sends more is stuck or hostile."""
NO_TRAILERS: Fields = []
_CHUNKED = (b"transfer-encoding", b"chunked")


class Http1Upstream:
    """A connection to an endpoint, and, while it lasts, the exchange on it."""

    __slots__ = ("_chunked", "_data", "_head", "_reader", "idle_since", "reusable", "trailers", "wire")

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.reusable = False
        self.trailers = NO_TRAILERS
        self.idle_since = 0.0
        """When its last exchange ended; kept by the pool."""
        self._chunked = False
        self._reader: BodyReader | None = None
        self._head: ResponseHead | None = None
        self._data = b""

    def __repr__(self) -> str:
        return f"<Http1Upstream {self.wire!r}{' reusable' if self.reusable else ''}>"

    def close(self) -> None:
        self.wire.close()

    def is_quiet(self) -> bool:
        """Whether an idle connection can take a request."""
        return self.wire.is_quiet()

    async def ask(self, x: Exchange, fields: Fields) -> None:
        head = x.head
        self.reusable = False
        self._chunked = chunked = head.body < 0
        if chunked or head.upgrade or head.authority != head.values.get(b"host"):
            fields = _framed(x, fields, chunked)
        message = encode_request(head.method, head.target, fields)
        if x.body:
            message += encode_chunk(x.body) if chunked else x.body
        if chunked and x.whole:
            message += LAST_CHUNK
        try:
            await self.wire.send(message)
        except OSError as problem:
            text = problem.strerror or "connection lost"
            raise Broken(Flag.UPSTREAM_CONNECTION_TERMINATION, text, unsent=True) from None

    async def send(self, payload: bytes) -> None:
        await self.wire.send(encode_chunk(payload) if self._chunked else payload)

    async def finish(self) -> None:
        if self._chunked:
            await self.wire.send(LAST_CHUNK)

    async def answer(self, x: Exchange, down: Downstream) -> tuple[ResponseHead, bytes, bool]:
        data = b""
        for _ in range(MOST_INTERIM):
            raw, data = await self._raw_head(data)
            try:
                head = parse_response(raw, x.head.method, LIMITS)
            except Malformed as problem:
                raise Refused(Flag.UPSTREAM_PROTOCOL_ERROR, problem.reason) from None
            if head.status == 101 and head.upgrade not in _upgrades(x.head):
                raise Refused(Flag.UPSTREAM_PROTOCOL_ERROR, "101 to a protocol that was not asked for")
            if head.status >= 200 or head.status == 101:
                return self._began(head, data)
            if head.status != 100 or x.head.expect_continue:
                head.fields = interim_fields(head.fields, head.values)
                await down.interim(head)
        raise Refused(Flag.UPSTREAM_PROTOCOL_ERROR, f"more than {MOST_INTERIM} interim responses")

    def _began(self, head: ResponseHead, data: bytes) -> tuple[ResponseHead, bytes, bool]:
        length = head.body
        if 0 <= length == len(data) or head.status == 101:  # all of it is here: the usual case
            self.reusable = head.keep_alive
            return head, data, True
        self._head = head
        self._reader = reader = body_reader(length)
        try:
            payload = reader.feed(data) if data else b""
        except Malformed as problem:
            raise Refused(Flag.UPSTREAM_PROTOCOL_ERROR, problem.reason) from None
        if reader.done:
            self._ended(reader)
        return head, payload, reader.done

    async def read(self) -> bytes:
        reader = self._reader
        assert reader is not None, "read follows an answer that was not all there"
        payload = b""
        try:
            while not payload and not reader.done:
                data = await self.wire.receive()
                if not data:
                    if self._head is not None and self._head.body == UNTIL_CLOSE:
                        return b""
                    raise Cut(Flag.UPSTREAM_CONNECTION_TERMINATION)
                payload = reader.feed(data)
        except OSError:
            raise Cut(Flag.UPSTREAM_CONNECTION_TERMINATION) from None
        except Malformed:
            raise Cut(Flag.UPSTREAM_PROTOCOL_ERROR) from None
        if reader.done:
            self._ended(reader)
        return payload

    def _ended(self, reader: BodyReader) -> None:
        # What follows a response unasked would be taken for the answer to the next request: never keep such a one.
        self.reusable = self._head is not None and self._head.keep_alive and not reader.rest

    async def _raw_head(self, data: bytes) -> tuple[bytes, bytes]:
        """The bytes of a head, up to and with its empty line, and what follows."""
        try:
            if not data:
                data = await self.wire.receive()
            end = data.find(b"\r\n\r\n") + 4
            if 3 < end <= LIMITS.head:
                return data[:end], data[end:]
            buffer = HeadBuffer(LIMITS, response=True)
            while data:
                if buffer.feed(data):
                    return buffer.head, buffer.rest
                data = await self.wire.receive()
        except Malformed as problem:
            raise Refused(Flag.UPSTREAM_PROTOCOL_ERROR, problem.reason) from None
        except OSError as problem:
            text = problem.strerror or "connection lost"
            raise Broken(Flag.UPSTREAM_CONNECTION_TERMINATION, text) from None
        raise Broken(Flag.UPSTREAM_CONNECTION_TERMINATION, "closed")


def _framed(x: Exchange, fields: Fields, chunked: bool) -> Fields:
    """The fields that this connection needs besides the request's own."""
    head = x.head
    fields = fields.copy()
    if head.authority != head.values.get(b"host"):
        # The target names another host than the field does, and wins (RFC 9112, 3.2.2): nobody may read both.
        fields = [field for field in fields if field[0].lower() != b"host"]
        fields.insert(0, (b"host", head.authority or x.record.destination.service.encode()))
    if chunked:
        fields.append(_CHUNKED)
    if _upgrades(head):
        fields.append((b"connection", b"upgrade"))
        fields.append((b"upgrade", head.upgrade))
    return fields


def _upgrades(head: RequestHead) -> list[bytes]:
    """The protocols that the application is asked to change to. Never h2c, nor what was asked along with it: what
    follows would be a second protocol on the wire, past every check made here."""
    asked = head.upgrade.replace(b" ", b"").replace(b"\t", b"").split(b",")
    return asked if asked[0] and b"h2c" not in asked else []
