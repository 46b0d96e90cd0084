"""The way back: an upstream's response, head and body, relayed to the client as it arrives."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from composemesh.proxy.headers import response_fields, without_length

if TYPE_CHECKING:
    from composemesh.model.record import Record
    from composemesh.proxy.codec.parts import Fields, RequestHead, ResponseHead
    from composemesh.proxy.exchange import Downstream, Exchange, Upstream


async def answer(x: Exchange, down: Downstream, up: Upstream) -> None:
    """Relay the response to `x`.

    Raises Broken (nothing came), Refused (what came is not HTTP), Again (a rule wants a better one) and Cut. If
    cancelled, both ends must be closed.
    """
    head, payload, ended = await up.answer(x, down)
    record = x.record
    fields = returning(x, head)
    if x.tries is not None:
        x.tries.answered(head, fields)
    if x.course is not None:
        fields = x.course.respond(fields)
    if x.view is not None:
        fields = x.view.answered(head, fields)
    if opens_tunnel(x.head.method, head.status):
        fields = without_length(fields)
        await down.tunnel(x, up, head, fields, payload)
        return
    if head.status == 204:
        fields = without_length(fields)
    if record.protocol == "grpc":
        note_grpc_status(record, head.fields)
    record.bytes_sent = len(payload)
    await down.respond(x, head, fields, payload, ended)
    while not ended:
        payload = await up.read()
        if payload:
            record.bytes_sent += len(payload)
            await down.send(payload)
        else:
            ended = True
            if record.protocol == "grpc":
                note_grpc_status(record, up.trailers)
            await down.finish(up.trailers)


def returning(x: Exchange, head: ResponseHead) -> Fields:
    """Write down that an answer has come; the fields of it that travel on."""
    record = x.record
    record.upstream_duration = elapsed = time.monotonic() - x.asked
    record.response_code = head.status
    return response_fields(head.fields, head.values, int(elapsed * 1000))


def opens_tunnel(method: bytes, status: int) -> bool:
    """Whether what follows the answer to a request is no longer HTTP."""
    return status == 101 or (method == b"CONNECT" and 200 <= status < 300)


def is_grpc(head: RequestHead) -> bool:
    """Whether a request is gRPC's (its protocol's "PROTOCOL-HTTP2", Requests: Content-Type)."""
    return head.values.get(b"content-type", b"").startswith(b"application/grpc")


def note_grpc_status(record: Record, fields: Fields) -> None:
    """Write down how a call ended: said in the trailers, or, where there was nothing else to say, in the head."""
    for name, value in fields:
        if name.lower() == b"grpc-status" and value.isdigit() and len(value) <= 3:
            record.grpc_status = int(value)
