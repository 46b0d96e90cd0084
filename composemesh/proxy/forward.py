"""THE SPINE, page 2. One request on its way to an endpoint: pick → checkout → send → retry → answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import trio

from composemesh.model.flag import Flag
from composemesh.proxy.answer import Broken, Cut, answer
from composemesh.proxy.codec.body import LAST_CHUNK, encode_chunk
from composemesh.proxy.codec.h1 import encode_request
from composemesh.proxy.codec.parts import CHUNKED, Malformed
from composemesh.proxy.headers import request_fields
from composemesh.proxy.refuse import Refused
from composemesh.proxy.retry import SAFE, may_retry
from composemesh.proxy.upstream import Unconnected, dial

if TYPE_CHECKING:
    from composemesh.proxy.cluster import Cluster, Target
    from composemesh.proxy.exchange import Downstream, Exchange
    from composemesh.proxy.wire import Wire

BACK_OFF = 0.01
"""Seconds before every endpoint is tried a second time; doubles. Two rounds stay under the 50 ms in which a caller
is told that nobody is there."""


async def forward(x: Exchange, down: Downstream, cluster: Cluster) -> None:
    """Have the request answered by one of the cluster's targets.

    Raises Refused where the mesh must answer itself, and Cut where an answer began and could not be finished. If
    cancelled, the upstream connection is closed.
    """
    head = x.head
    message = encode_request(head.method, head.target, _fields(x, down, cluster))
    if x.body:
        message += encode_chunk(x.body) if head.body == CHUNKED else x.body
    if head.body == CHUNKED and x.reader is None:
        message += LAST_CHUNK
    record = x.record
    tried: list[Target] = []
    back_off = BACK_OFF
    while True:
        target = cluster.pick(tried)
        if target is None:
            if not tried:
                raise Refused(Flag.NO_HEALTHY_UPSTREAM, f"{cluster.service} has no running endpoint")
            tried.clear()
            await trio.sleep(back_off)
            back_off *= 2
            continue
        record.attempts += 1
        record.destination = target.endpoint.peer
        target.endpoint.active += 1
        try:
            await _attempt(x, down, target, message)
            return
        except Broken as broken:
            tried.append(target)
            again = may_retry(
                head.method,
                attempt=record.attempts,
                untried=len(tried) < len(cluster.targets),
                body_replayable=x.reader is None,
                connected=broken.connected,
            )
            if not again:
                raise Refused(broken.flag, broken.detail) from None
        finally:
            target.endpoint.active -= 1


def _fields(x: Exchange, down: Downstream, cluster: Cluster) -> list[tuple[bytes, bytes]]:
    head = x.head
    fields, request_id = request_fields(head.fields, head.values, down.peer_address)
    x.record.request_id = request_id.decode("latin-1")
    if head.body == CHUNKED:
        fields.append((b"transfer-encoding", b"chunked"))
    if head.upgrade and b"h2c" not in head.upgrade:
        # h2c is left out: what follows it is a second protocol on the wire, past every check made here.
        fields.append((b"connection", b"upgrade"))
        fields.append((b"upgrade", head.upgrade))
    host = head.values.get(b"host")
    if host is None:
        fields.insert(0, (b"host", head.authority or cluster.service.encode()))
    elif host != head.authority and head.authority:
        # The target names another host than the field does, and wins (RFC 9112, 3.2.2): no application may read both.
        fields = [(b"host", head.authority), *(field for field in fields if field[0].lower() != b"host")]
    return fields


async def _attempt(x: Exchange, down: Downstream, target: Target, message: bytes) -> None:
    """Send the request once, and relay what comes back. Raises Broken where nothing came back."""
    pool = target.pool(down.port)
    repeatable = x.reader is None and x.head.method in SAFE
    while True:
        wire = pool.checkout(repeatable=repeatable)
        reused = wire is not None
        if wire is None:
            wire = await _dial(target, down)
        keep = False
        try:
            if x.reader is None:
                await _send(wire, message)
                keep = await answer(x, down, wire)
            else:
                keep = await _stream(x, down, wire, message)
        except Broken as broken:
            if reused and (broken.unsent or repeatable):
                continue  # the application had closed it meanwhile: that is no failure of the endpoint
            raise
        finally:
            if keep:
                pool.checkin(wire)
            else:
                wire.close()
        return


async def _dial(target: Target, down: Downstream) -> Wire:
    try:
        return await dial(target.namespace, (target.host, down.port), down.reactor)
    except Unconnected as problem:
        target.endpoint.failed()
        raise Broken(Flag.UPSTREAM_CONNECTION_FAILURE, str(problem), connected=False) from None


async def _send(wire: Wire, message: bytes) -> None:
    try:
        await wire.send(message)
    except OSError as problem:
        text = problem.strerror or "connection lost"
        raise Broken(Flag.UPSTREAM_CONNECTION_TERMINATION, text, unsent=True) from None


async def _stream(x: Exchange, down: Downstream, wire: Wire, message: bytes) -> bool:
    """The request's body is still coming: pump it while the answer is awaited, because either may end first."""
    await _send(wire, message)
    failure: Broken | Cut | Refused | None = None
    keep = False
    trouble: list[Flag | Malformed] = []  # of the pump: at most one
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_pump, x, down, wire, trouble, nursery.cancel_scope)
        try:
            keep = await answer(x, down, wire)
        except (Broken, Cut, Refused) as problem:
            failure = problem
        nursery.cancel_scope.cancel()
    for cause in trouble:
        raise cause if isinstance(cause, Malformed) else Cut(cause)
    if failure is not None:
        raise failure
    assert x.reader is not None
    if not x.reader.done:
        x.keep = keep = False  # answered early: what is left of the body would be taken for the next request
    return keep


async def _pump(
    x: Exchange, down: Downstream, wire: Wire, trouble: list[Flag | Malformed], scope: trio.CancelScope
) -> None:
    reader = x.reader
    assert reader is not None
    chunked = x.head.body == CHUNKED
    while not reader.done:
        try:
            data = await down.wire.receive()
            payload = reader.feed(data) if data else b""
        except OSError:
            data = payload = b""
        except Malformed as problem:
            trouble.append(problem)
            scope.cancel()
            return
        if not data:
            trouble.append(Flag.DOWNSTREAM_CONNECTION_TERMINATION)
            scope.cancel()
            return
        x.record.bytes_received += len(payload)
        try:
            if payload:
                await wire.send(encode_chunk(payload) if chunked else payload)
            if chunked and reader.done:
                await wire.send(LAST_CHUNK)
        except OSError:
            return  # the upstream wants no more of it; its answer, if there is one, says why
    x.rest = reader.rest
    down.began(time.monotonic())
