"""The way back: an upstream's response, head and body, relayed to the client as it arrives."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from composemesh.proxy.headers import response_fields, without_length

if TYPE_CHECKING:
    from composemesh.proxy.exchange import Downstream, Exchange, Upstream


async def answer(x: Exchange, down: Downstream, up: Upstream) -> None:
    """Relay the response to `x`.

    Raises Broken (nothing came), Refused (what came is not HTTP) and Cut. If cancelled, both ends must be closed.
    """
    began = time.monotonic()
    head, payload, ended = await up.answer(x, down)
    record = x.record
    record.upstream_duration = elapsed = time.monotonic() - began
    record.response_code = head.status
    fields = response_fields(head.fields, head.values, int(elapsed * 1000))
    if head.status == 101 or (x.head.method == b"CONNECT" and 200 <= head.status < 300):
        fields = without_length(fields)
        await down.tunnel(x, up, head, fields, payload)
        return
    if head.status == 204:
        fields = without_length(fields)
    record.bytes_sent = len(payload)
    await down.respond(x, head, fields, payload, ended)
    while not ended:
        payload = await up.read()
        if payload:
            record.bytes_sent += len(payload)
            await down.send(payload)
        else:
            ended = True
            await down.finish(up.trailers)
