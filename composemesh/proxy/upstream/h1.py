"""An endpoint spoken to in HTTP/1.1: one request at a time on a connection that outlives it."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

import trio

from composemesh.model.flag import Flag
from composemesh.proxy.codec.body import LAST_CHUNK, BodyReader, CloseBody, body_reader, encode_chunk
from composemesh.proxy.codec.h1 import HeadBuffer, encode_request, parse_response
from composemesh.proxy.codec.parts import (
    HTTP2,
    LIMITS,
    NO_FIELDS,
    STREAMED,
    Fields,
    Malformed,
    RequestHead,
    ResponseHead,
)
from composemesh.proxy.headers import interim_fields, takes_trailers, trailer_fields, without, without_length
from composemesh.proxy.refuse import Broken, Cut, Refused
from composemesh.proxy.upstream.upgrade import (
    ACCEPT,
    KEY,
    WEBSOCKET,
    accept_of,
    asks_for_tunnel,
    new_key,
    protocols,
    without_accept,
)

if TYPE_CHECKING:
    from composemesh.proxy.exchange import Downstream, Exchange
    from composemesh.proxy.pool import Pool
    from composemesh.proxy.wire import Wire

MOST_INTERIM: Final = 16
"""Responses of class 1xx to one request; an upstream that sends more is stuck or hostile."""
_CHUNKED: Final = (b"transfer-encoding", b"chunked")
_NO_BODY: Final = (b"content-length", b"0")
_HOST: Final = frozenset({b"host"})
_MEANT_TO_HAVE_A_BODY: Final = frozenset({b"POST", b"PUT", b"PATCH"})
"""A request of these that has none should say so (RFC 9110, 8.6): there are servers that answer 411 otherwise."""


class Http1Upstream:
    """A connection to an endpoint, and, while it lasts, the exchange on it."""

    __slots__ = (
        *("_chunked", "_early", "_head", "_key", "_opened", "_pool", "_reader", "_reusable"),
        *("expires", "held", "idle_since", "left", "reused", "trailers", "untaken", "wire"),
    )

    def __init__(self, wire: Wire, pool: Pool) -> None:
        limits = pool.settings
        self.wire = wire
        self.reused = False
        self.trailers = NO_FIELDS
        self.untaken = b""
        self.held = b""
        """What the lane has read of an answer that is not for it."""
        self.idle_since = 0.0
        """When its last exchange ended; kept by the pool."""
        self.left = limits.max_requests_per_connection or math.inf
        """How many more exchanges it may carry."""
        self.expires = time.monotonic() + (limits.max_connection_duration or math.inf)
        """When it may carry no further one."""
        self._pool = pool
        self._reusable = False
        """Whether, the exchange over, the connection can take another."""
        self._chunked = False
        self._reader: BodyReader | None = None
        self._head: ResponseHead | None = None
        self._opened: trio.Event | None = None
        """Set once the endpoint has agreed to the tunnel that the request asks for; None where it asks for none."""
        self._early = b""
        """What the client has sent before that."""
        self._key = b""
        """The WebSocket handshake's, where it is ours."""

    def __repr__(self) -> str:
        return f"<Http1Upstream {self.wire!r}{' reusable' if self._reusable else ''}>"

    def abort(self) -> None:
        self.close()

    def release(self, x: Exchange) -> None:
        self.left -= 1
        if x.sent and not self.untaken and self._reusable and self.left > 0:
            self._reusable = self._chunked = False
            self._opened = None
            self._pool.checkin(self)
        else:
            self.close()

    def close(self) -> None:
        self.wire.close()

    def is_quiet(self) -> bool:
        """Whether an idle connection can take a request."""
        return self.wire.is_quiet()

    def request(self, x: Exchange, fields: Fields) -> bytes:
        """What to send of the request, as far as it is there. Raises Refused."""
        head, values = x.head, x.head.values
        plain = head.version < HTTP2 and head.body >= 0 and not head.upgrade
        if not plain or head.authority != values.get(b"host") or b"te" in values:
            fields = self._framed(x, fields)
        message = encode_request(head.method, head.target, fields)
        if self._opened is not None:
            self._early = x.body
        elif self._chunked:
            message += encode_chunk(x.body) + (LAST_CHUNK if x.whole else b"")
        elif x.body:
            message += x.body
        return message

    async def ask(self, x: Exchange, fields: Fields) -> None:
        message = self.request(x, fields)
        try:
            sent = self.wire.send_now(message)
            self.untaken = message[sent:]
        except OSError as problem:
            text = problem.strerror or "connection lost"
            raise Broken(Flag.UPSTREAM_CONNECTION_TERMINATION, text, unsent=True) from None

    async def send_untaken(self, x: Exchange) -> None:
        await self.wire.send(self.untaken)
        self.untaken = b""

    async def send(self, payload: bytes) -> None:
        if self._opened is not None:
            await self._opened.wait()
        await self.wire.send(encode_chunk(payload) if self._chunked else payload)

    async def finish(self, trailers: Fields) -> None:
        """Trailers stay behind: servers disagree on whether a chunked request can have any, and what one of them
        leaves unread is the next request to it."""
        if self._opened is not None:
            await self._opened.wait()
            self.wire.finish()
        elif self._chunked:
            await self.wire.send(LAST_CHUNK)

    async def answer(self, x: Exchange, down: Downstream) -> tuple[ResponseHead, bytes, bool]:
        data, self.held = self.held, b""
        for _ in range(MOST_INTERIM):
            raw, data = await self._raw_head(data)
            try:
                head = parse_response(raw, x.head.method, LIMITS)
            except Malformed as problem:
                raise Refused(Flag.UPSTREAM_PROTOCOL_ERROR, problem.reason) from None
            if head.status >= 200 or head.status == 101:
                if self._opened is not None:
                    await self._open(x, head)
                elif head.status == 101:
                    raise Refused(Flag.UPSTREAM_PROTOCOL_ERROR, "101 to a protocol that was not asked for")
                return self._began(head, data)
            if head.status != 100 or x.head.expect_continue:
                head.fields = interim_fields(head.fields, head.values)
                x.replayable = False
                await down.interim(head)
        raise Refused(Flag.UPSTREAM_PROTOCOL_ERROR, f"more than {MOST_INTERIM} interim responses")

    def whole_answer(self, x: Exchange, data: bytes) -> tuple[ResponseHead, bytes] | None:
        """The final response's head and all of its body, where that is what `data` is; otherwise it is held, for
        `answer` to begin with."""
        end = data.find(b"\r\n\r\n") + 4
        if 3 < end <= LIMITS.head:
            try:
                head = parse_response(data[:end], x.head.method, LIMITS)
            except Malformed:
                pass  # it is `answer`'s to say what is wrong
            else:
                if head.body == len(data) - end and head.status >= 200:
                    self._reusable = head.keep_alive
                    return head, data[end:]
        self.held = data
        return None

    async def _open(self, x: Exchange, head: ResponseHead) -> None:
        """The answer to a request that asks for a tunnel. Raises Refused for one that makes no sense."""
        asked = protocols(x.head)
        if head.status == 101:
            if head.upgrade not in asked:
                raise Refused(Flag.UPSTREAM_PROTOCOL_ERROR, "101 to a protocol that was not asked for")
            if self._key and head.values.get(ACCEPT) != accept_of(self._key):
                raise Refused(Flag.UPSTREAM_PROTOCOL_ERROR, "101 without the WebSocket handshake")
            if self._key:
                head.fields = without_accept(head.fields)
            self._reader = CloseBody()
        elif head.status >= 300:
            return
        elif asked:
            if x.head.version == HTTP2:  # to which any 2xx says that the tunnel stands
                raise Refused(Flag.UPSTREAM_PROTOCOL_ERROR, "the upgrade was ignored")
            return
        try:
            if self._early:
                await self.wire.send(self._early)
        except OSError:
            pass  # as the next read finds out
        assert self._opened is not None, "this is its answer"
        self._opened.set()

    def _began(self, head: ResponseHead, data: bytes) -> tuple[ResponseHead, bytes, bool]:
        length = head.body
        if 0 <= length == len(data) or head.status == 101:  # all of it is here: the usual case
            self._reusable = head.keep_alive
            return head, data, True
        self._head = head
        self._reader = reader = body_reader(length)
        try:
            payload = reader.feed(data) if data else b""
        except Malformed as problem:
            raise Refused(Flag.UPSTREAM_PROTOCOL_ERROR, problem.reason) from None
        if reader.done:
            self._ended(reader)
        return head, payload, reader.done and not self.trailers

    async def read(self) -> bytes:
        reader = self._reader
        assert reader is not None, "read follows an answer that was not all there"
        payload = b""
        try:
            while not payload and not reader.done:
                data = await self.wire.receive()
                if not data:
                    if isinstance(reader, CloseBody):
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
        self._reusable = self._head is not None and self._head.keep_alive and not reader.rest
        self.trailers = trailer_fields(reader.trailers) if reader.trailers else NO_FIELDS

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
        except Malformed as malformed:
            raise Refused(Flag.UPSTREAM_PROTOCOL_ERROR, malformed.reason) from None
        except OSError as problem:
            text = problem.strerror or "connection lost"
            raise Broken(Flag.UPSTREAM_CONNECTION_TERMINATION, text) from None
        raise Broken(Flag.UPSTREAM_CONNECTION_TERMINATION, "closed")

    def _framed(self, x: Exchange, fields: Fields) -> Fields:
        """The fields that this connection needs besides the request's own. Raises Refused."""
        head, values = x.head, x.head.values
        fields = fields.copy()
        if head.authority != values.get(b"host"):
            # The target names another host than the field does, and wins (RFC 9112, 3.2.2): nobody may read both.
            fields = without(fields, _HOST)
            fields.insert(0, (b"host", x.authority))
        options = []
        if takes_trailers(values):
            options.append(b"te")
            fields.append((b"te", b"trailers"))
        if asks_for_tunnel(head):
            self._opened = trio.Event()
            self._key = b""
            fields = without_length(fields)
            if head.upgrade:
                options.append(b"upgrade")
                fields += self._upgrade(head)
        elif head.upgrade and head.version == HTTP2:
            raise Refused(Flag.DOWNSTREAM_PROTOCOL_ERROR, "no tunnel for this protocol", 501)
        elif head.body == STREAMED and x.whole:
            fields.append((b"content-length", b"%d" % len(x.body)))
        elif head.body < 0:
            self._chunked = True
            fields.append(_CHUNKED)
        elif head.version == HTTP2 and head.method in _MEANT_TO_HAVE_A_BODY and b"content-length" not in values:
            fields.append(_NO_BODY)
        if options:
            fields.append((b"connection", b", ".join(options)))
        return fields

    def _upgrade(self, head: RequestHead) -> Fields:
        fields = [(b"upgrade", head.upgrade)]
        if head.version == HTTP2 and head.upgrade == WEBSOCKET and KEY not in head.values:
            self._key = new_key()
            fields.append((KEY, self._key))
        return fields
