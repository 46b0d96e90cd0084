"""THE SPINE, page 1. One request: what filters make of it, where it goes, what becomes of it, and the one record of
it, whatever happened."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import trio

from composemesh.model.flag import Flag
from composemesh.model.record import LONGEST_TEXT, Record
from composemesh.proxy.answer import is_grpc, note_grpc_status
from composemesh.proxy.codec.parts import HTTP2, Malformed
from composemesh.proxy.exchange import Exchange
from composemesh.proxy.forward import forward
from composemesh.proxy.refuse import Cut, Refused, grpc_refusal, refusal
from composemesh.proxy.route import route

if TYPE_CHECKING:
    from composemesh.proxy.cluster import Cluster
    from composemesh.proxy.codec.parts import RequestHead
    from composemesh.proxy.exchange import Downstream


async def serve(down: Downstream, head: RequestHead, body: bytes, whole: bool) -> Exchange:
    """Answer one request, of which `body` came along with the head, and is all there is where `whole`.

    Returns the exchange as it ended. Raises Cut, for the connection to be cut, where an answer began and could not be
    finished. If cancelled, the exchange is lost; its record is not.
    """
    x = opened(down, head, body, whole, down.cluster().named(head.authority))
    return await resume(x, down)


async def resume(x: Exchange, down: Downstream) -> Exchange:
    """Have the request answered, from wherever it stands: at its beginning, or where the lane has left it. Ends as
    `serve` does."""
    record, cluster = x.record, x.cluster
    try:
        if x.unsent:
            await down.send(x.unsent)
        elif x.begun is not None:
            await forward(x, down, cluster)
        elif x.view is not None:
            x.view.check()
            await forward(x, down, cluster)
        elif x.course is not None:
            await forward(x, down, cluster)
        else:
            admit(x, down)
            chain = down.filters.everywhere
            if chain is not None:
                down = chain.enter(x, down)
            if chain is not None and chain.arounds:
                await chain.surround(x, down, partial(_onward, x, down, cluster))
            elif cluster.rules is None:
                await forward(x, down, cluster)
            else:
                await route(x, down, cluster, cluster.rules)
    except Refused as refused:
        await refuse(x, down, refused)
    except Malformed as problem:
        await refuse(x, down, Refused(Flag.DOWNSTREAM_PROTOCOL_ERROR, problem.reason, problem.status))
    except Cut as cut:
        record.flag = cut.flag
        raise
    except BaseException:
        record.flag = down.why
        raise
    finally:
        tell(x, down)
    return x


async def _onward(x: Exchange, down: Downstream, cluster: Cluster) -> None:
    """The rest of the way, for filters that hold a request in their hands."""
    if cluster.rules is None:
        await forward(x, down, cluster)
    else:
        await route(x, down, cluster, cluster.rules)


def opened(down: Downstream, head: RequestHead, body: bytes, whole: bool, cluster: Cluster) -> Exchange:
    """The exchange that a request begins, and its record: written down is what the request said of itself."""
    protocol = "grpc" if head.version == HTTP2 and is_grpc(head) else "http"
    record = Record(down.source, cluster.unreached, protocol)
    record.start = time.time()
    record.bytes_received = len(body)
    record.http_version = head.version
    record.method = head.method[:LONGEST_TEXT].decode("latin-1")
    record.path = head.target[:LONGEST_TEXT].decode("latin-1")
    record.authority = head.authority[:LONGEST_TEXT].decode("latin-1")
    values = head.values
    record.user_agent = values.get(b"user-agent", b"")[:LONGEST_TEXT].decode("latin-1")
    traceparent = values.get(b"traceparent")
    if traceparent is not None:
        record.traceparent = traceparent[:LONGEST_TEXT].decode("latin-1")
    record.x_forwarded_for = down.peer_text
    return Exchange(head, record, cluster, body, whole, down.port)


def admit(x: Exchange, down: Downstream) -> None:
    """Raises Refused for a request that is one too many, or not welcome at a gateway."""
    if down.load.overfull:
        raise Refused(Flag.OVERLOAD_MANAGER, f"more than {down.load.limits.requests} requests at a time")
    if down.edge is not None:
        down.edge.admit(x.head)


def tell(x: Exchange, down: Downstream) -> None:
    """The exchange is over. This is said of each once, and of none twice."""
    record = x.record
    record.duration = time.monotonic() - x.started
    down.hub.tell(record)


async def refuse(x: Exchange, down: Downstream, refused: Refused) -> None:
    """The only place where failures become responses. Raises Cut once an answer has begun: there is no second one."""
    record = x.record
    record.flag = refused.flag
    if x.answered:
        raise Cut(refused.flag)
    head, body = grpc_refusal(refused) if record.protocol == "grpc" else refusal(refused)
    record.response_code = head.status
    note_grpc_status(record, head.fields)
    fields = head.fields if x.course is None else x.course.respond(head.fields)
    if x.view is not None:
        fields = x.view.answered_instead(head, fields)
    try:
        await (x.via or down).respond(x, head, fields, b"" if x.head.method == b"HEAD" else body, True)
    except Cut as cut:
        record.flag = cut.flag
        raise
    await trio.lowlevel.checkpoint()  # one client may have sent a thousand requests that nobody is waited for
