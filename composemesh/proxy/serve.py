"""THE SPINE, page 1. One request: where it goes, what becomes of it, and the one record of it, whatever happened."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from composemesh.model.flag import Flag
from composemesh.model.record import Record
from composemesh.proxy.answer import Cut
from composemesh.proxy.codec.body import body_reader
from composemesh.proxy.codec.h1 import encode_response
from composemesh.proxy.codec.parts import Malformed
from composemesh.proxy.exchange import Exchange
from composemesh.proxy.forward import forward
from composemesh.proxy.refuse import Refused

if TYPE_CHECKING:
    from composemesh.proxy.codec.parts import RequestHead
    from composemesh.proxy.exchange import Downstream

LONGEST_TEXT = 2048
"""Bytes of a path or a header that a record keeps: an attacker's request must not fill the log."""


async def serve(down: Downstream, head: RequestHead, rest: bytes) -> bytes | None:
    """Answer one request. Returns what the client sent after it, or None when the connection is to be closed.

    If cancelled, the exchange is lost; its record is not.
    """
    started = time.monotonic()
    cluster = down.cluster().named(head.authority)
    record = describe(Record(down.source, cluster.unreached, "http"), head, down)
    x = Exchange(head, record)
    down.began(started)
    try:
        take_body(x, rest)
        await forward(x, down, cluster)
    except Refused as refused:
        await refuse(x, down, refused)
    except Malformed as problem:
        await refuse(x, down, Refused(Flag.DOWNSTREAM_PROTOCOL_ERROR, problem.reason, problem.status))
    except Cut as cut:
        record.flag = cut.flag
        x.keep = False
        down.wire.reset()  # a body delimited by the connection's end would pass for complete after an orderly close
    except BaseException:
        record.flag = down.why
        raise
    finally:
        down.ended()
        record.duration = time.monotonic() - started
        down.hub.tell(record)
    return x.rest if x.keep else None


def describe(record: Record, head: RequestHead, down: Downstream) -> Record:
    """Write down what the request said of itself."""
    record.start = time.time()
    record.method = head.method.decode("latin-1")
    record.path = head.target[:LONGEST_TEXT].decode("latin-1")
    record.authority = head.authority[:LONGEST_TEXT].decode("latin-1")
    values = head.values
    record.user_agent = values.get(b"user-agent", b"")[:LONGEST_TEXT].decode("latin-1")
    traceparent = values.get(b"traceparent")
    if traceparent is not None:
        record.traceparent = traceparent[:LONGEST_TEXT].decode("latin-1")
    record.x_forwarded_for = down.peer_text
    return record


def take_body(x: Exchange, rest: bytes) -> None:
    """Split what came after the head into this request's body and what follows it. Raises Malformed."""
    length = x.head.body
    if length == 0:
        x.rest = rest
    elif 0 < length <= len(rest):
        x.body, x.rest = rest[:length], rest[length:]
    else:
        reader = body_reader(length)
        x.body = reader.feed(rest) if rest else b""
        if reader.done:
            x.rest = reader.rest
        else:
            x.reader = reader
    x.record.bytes_received = len(x.body)


async def refuse(x: Exchange, down: Downstream, refused: Refused) -> None:
    """The only place where failures become responses. Once an answer has begun, the flag is all that can be said."""
    record = x.record
    record.flag = refused.flag
    if x.reader is not None and not x.reader.done:
        x.keep = False  # the rest of the body is still to come, and nobody wants it
    if x.answered:
        x.keep = False
        return
    record.response_code = refused.status
    if refused.flag is Flag.DOWNSTREAM_PROTOCOL_ERROR:
        x.keep = False
    answer = refusal(refused, keep=x.keep, with_body=x.head.method != b"HEAD")
    x.answered = True
    try:
        await down.wire.send(answer)
    except OSError:
        x.keep = False
        record.flag = Flag.DOWNSTREAM_CONNECTION_TERMINATION


def refusal(refused: Refused, *, keep: bool, with_body: bool = True) -> bytes:
    """The mesh's own answer, head and body: what is wrong in words, and the flag for machines."""
    body = f"{refused.text} ({refused.flag.value})\n".encode()
    fields = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"x-composemesh-flag", refused.flag.value.encode()),
        (b"server", b"composemesh"),
    ]
    if not keep:
        fields.append((b"connection", b"close"))
    return encode_response(refused.status, b"", fields) + (body if with_body else b"")
