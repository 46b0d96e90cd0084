"""The way back: an upstream's response, head and body, relayed to the client as it arrives."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from composemesh.model.flag import Flag
from composemesh.proxy.codec.body import LAST_CHUNK, body_reader, encode_chunk
from composemesh.proxy.codec.h1 import HeadBuffer, encode_response, parse_response
from composemesh.proxy.codec.parts import UNTIL_CLOSE, Limits, Malformed
from composemesh.proxy.headers import response_fields
from composemesh.proxy.refuse import Refused
from composemesh.proxy.relay import Moved, relay

if TYPE_CHECKING:
    from composemesh.proxy.codec.parts import ResponseHead
    from composemesh.proxy.exchange import Downstream, Exchange
    from composemesh.proxy.wire import Wire

LIMITS = Limits()
MOST_INTERIM = 16
"""Responses of class 1xx to one request; an upstream that sends more is stuck or hostile."""


class Broken(Exception):
    """The upstream connection ended before a byte of the answer: another try may be possible."""

    def __init__(self, flag: Flag, detail: str, *, connected: bool = True, unsent: bool = False) -> None:
        super().__init__(flag, detail)
        self.flag = flag
        self.detail = detail
        self.connected = connected
        """Whether a connection stood, so that the request may have been carried out."""
        self.unsent = unsent
        """Whether the kernel refused to take the request: then it certainly was not."""


class Cut(Exception):
    """The answer began and could not be finished: the client must see it cut, never short but complete."""

    def __init__(self, flag: Flag) -> None:
        super().__init__(flag)
        self.flag = flag


async def answer(x: Exchange, down: Downstream, wire: Wire) -> bool:
    """Relay the response to `x` from `wire`; return whether `wire` can take another request.

    Raises Broken (nothing came), Refused (what came is not HTTP) and Cut. If cancelled, close both sockets.
    """
    began = time.monotonic()
    head, data = await _final_head(x, down, wire)
    record = x.record
    record.upstream_duration = elapsed = time.monotonic() - began
    record.response_code = head.status
    fields = response_fields(head.fields, head.values, int(elapsed * 1000))
    if head.status == 101 or (x.head.method == b"CONNECT" and 200 <= head.status < 300):
        await _tunnel(x, down, wire, head, fields, data)
        return False
    length = head.body
    close_delimited = length < 0 and x.head.version < 11
    chunked = length < 0 and not close_delimited
    if chunked:
        fields.append((b"transfer-encoding", b"chunked"))
    if down.draining or close_delimited or (x.reader is not None and not x.reader.done):
        x.keep = False
    if not x.keep:
        fields.append((b"connection", b"close"))
    elif x.head.version < 11:
        fields.append((b"connection", b"keep-alive"))
    out = encode_response(head.status, head.reason, fields)
    x.answered = True
    if 0 <= length == len(data):  # all of it is here: the usual case, and one write
        record.bytes_sent = length
        await _deliver(down, out + data)
        return head.keep_alive
    surplus = await _body(x, down, wire, head, out, data, chunked)
    return head.keep_alive and not surplus and length != UNTIL_CLOSE


async def _final_head(x: Exchange, down: Downstream, wire: Wire) -> tuple[ResponseHead, bytes]:
    """The final response's head and what came with it; interim ones are relayed to a client that understands them."""
    data = b""
    for _ in range(MOST_INTERIM):
        raw, data = await _raw_head(wire, data)
        try:
            head = parse_response(raw, x.head.method, LIMITS)
        except Malformed as problem:
            raise Refused(Flag.UPSTREAM_PROTOCOL_ERROR, problem.reason) from None
        if head.status == 101 and head.upgrade not in x.head.upgrade.replace(b" ", b"").split(b","):
            raise Refused(Flag.UPSTREAM_PROTOCOL_ERROR, "101 to a protocol that was not asked for")
        if head.status >= 200 or head.status == 101:
            return head, data
        if x.head.version >= 11 and (head.status != 100 or x.head.expect_continue):
            await _deliver(down, encode_response(head.status, head.reason, head.fields))
    raise Refused(Flag.UPSTREAM_PROTOCOL_ERROR, f"more than {MOST_INTERIM} interim responses")


async def _raw_head(wire: Wire, data: bytes) -> tuple[bytes, bytes]:
    """The bytes of a head, up to and with its empty line, and what follows."""
    try:
        if not data:
            data = await wire.receive()
        end = data.find(b"\r\n\r\n") + 4
        if 3 < end <= LIMITS.head:
            return data[:end], data[end:]
        buffer = HeadBuffer(LIMITS, response=True)
        while data:
            if buffer.feed(data):
                return buffer.head, buffer.rest
            data = await wire.receive()
    except Malformed as problem:
        raise Refused(Flag.UPSTREAM_PROTOCOL_ERROR, problem.reason) from None
    except OSError as problem:
        text = problem.strerror or "connection lost"
        raise Broken(Flag.UPSTREAM_CONNECTION_TERMINATION, text) from None
    raise Broken(Flag.UPSTREAM_CONNECTION_TERMINATION, "closed")


async def _body(
    x: Exchange, down: Downstream, wire: Wire, head: ResponseHead, out: bytes, data: bytes, chunked: bool
) -> bool:
    """Relay a body that is still arriving; return whether bytes that belong to no response came after it."""
    reader = body_reader(head.body)
    try:
        while True:
            payload = reader.feed(data) if data else b""
            if payload:
                x.record.bytes_sent += len(payload)
                out += encode_chunk(payload) if chunked else payload
            if reader.done:
                break
            if out:
                await _deliver(down, out)
                out = b""
            data = await wire.receive()
            if not data:
                if head.body != UNTIL_CLOSE:
                    raise Cut(Flag.UPSTREAM_CONNECTION_TERMINATION)
                break
    except OSError:
        raise Cut(Flag.UPSTREAM_CONNECTION_TERMINATION) from None
    except Malformed:
        raise Cut(Flag.UPSTREAM_PROTOCOL_ERROR) from None
    if chunked:
        out += LAST_CHUNK
    if out:
        await _deliver(down, out)
    return bool(reader.rest)


async def _tunnel(
    x: Exchange,
    down: Downstream,
    wire: Wire,
    head: ResponseHead,
    fields: list[tuple[bytes, bytes]],
    data: bytes,
) -> None:
    """After an accepted upgrade both sides speak what they like."""
    x.keep = False
    x.answered = True
    if head.upgrade:
        fields.append((b"connection", b"upgrade"))
        fields.append((b"upgrade", head.upgrade))
    down.tunnelling = True
    await _deliver(down, encode_response(head.status, head.reason, fields) + data)
    moved = Moved()
    try:
        if x.rest:
            await wire.send(x.rest)
        await relay(down.wire, wire, moved)
    except OSError:
        pass  # the upstream went between its 101 and our first bytes
    finally:
        x.record.bytes_received += moved.received + len(x.rest)
        x.record.bytes_sent += moved.sent + len(data)


async def _deliver(down: Downstream, data: bytes) -> None:
    try:
        await down.wire.send(data)
    except OSError:
        raise Cut(Flag.DOWNSTREAM_CONNECTION_TERMINATION) from None
