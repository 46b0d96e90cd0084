"""THE SPINE, page 2. One request on its way to an endpoint: pick → checkout → send → retry → answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from composemesh.model.peer import UNKNOWN
from composemesh.proxy.answer import answer
from composemesh.proxy.checkout import checkout
from composemesh.proxy.codec.parts import Malformed
from composemesh.proxy.headers import request_fields
from composemesh.proxy.refuse import Broken, Cut, Refused
from composemesh.proxy.retry import SAFE, may_retry

if TYPE_CHECKING:
    from composemesh.proxy.cluster import Cluster, Target
    from composemesh.proxy.codec.parts import Fields
    from composemesh.proxy.exchange import Downstream, Exchange, Upstream

BACK_OFF = 0.01
"""Seconds before every endpoint is tried a second time; doubles. Two rounds stay under the 50 ms in which a caller
is told that nobody is there."""


async def forward(x: Exchange, down: Downstream, cluster: Cluster) -> None:
    """Have the request answered by one of the cluster's targets.

    Raises Refused where the mesh must answer itself, and Cut where an answer began and could not be finished. If
    cancelled, the upstream connection is closed.
    """
    head, record = x.head, x.record
    if down.edge is not None:
        fields, request_id = down.edge.request_fields(head, down.peer_address)
    else:
        outside = down.source is UNKNOWN
        fields, request_id = request_fields(head.fields, head.values, down.peer_address, outside=outside)
    record.request_id = request_id.decode("latin-1")
    if x.course is not None:
        fields = x.course.request(fields)
    tried: list[Target] = []
    back_off = BACK_OFF
    while True:
        target = cluster.pick(x.port, tried)
        if target is None:
            if not tried:
                raise cluster.nobody()
            tried.clear()
            await trio.sleep(back_off)
            back_off *= 2
            continue
        record.attempts += 1
        record.destination = target.endpoint.peer
        target.endpoint.active += 1
        try:
            await _attempt(x, down, target, fields)
            return
        except Broken as broken:
            tried.append(target)
            again = may_retry(
                head.method,
                attempt=record.attempts,
                untried=len(tried) < len(cluster.targets),
                body_replayable=x.whole,
                connected=broken.connected and not broken.unsent,
            )
            if not again:
                raise Refused(broken.flag, broken.detail) from None
        finally:
            target.endpoint.active -= 1


async def _attempt(x: Exchange, down: Downstream, target: Target, fields: Fields) -> None:
    """Send the request once, and relay what comes back. Raises Broken where nothing came back."""
    x.record.upstream_address = target.pool(x.port).address
    repeatable = x.whole and x.head.method in SAFE
    while True:
        up = await checkout(x, down, target)
        try:
            await up.ask(x, fields)
            if x.whole:
                await answer(x, down, up)
            else:
                await _stream(x, down, up)
        except Broken as broken:
            if up.reused and (broken.unsent or repeatable):
                continue  # the application had closed it meanwhile: that is no failure of the endpoint
            raise
        finally:
            up.release(x)
        return


async def _stream(x: Exchange, down: Downstream, up: Upstream) -> None:
    """The request's body is still coming: pump it while the answer is awaited, because either may end first."""
    failure: Broken | Cut | Refused | None = None
    trouble: list[Cut | Malformed] = []  # of the pump: at most one
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_pump, x, down, up, trouble, nursery.cancel_scope)
        try:
            await answer(x, down, up)
        except (Broken, Cut, Refused) as problem:
            failure = problem
        nursery.cancel_scope.cancel()
    for cause in trouble:
        raise cause
    if failure is not None:
        raise failure


async def _pump(
    x: Exchange, down: Downstream, up: Upstream, trouble: list[Cut | Malformed], scope: trio.CancelScope
) -> None:
    try:
        while payload := await down.read(x):
            x.record.bytes_received += len(payload)
            if x.course is not None:
                x.course.hear(payload)
            await up.send(payload)
        if x.course is not None:
            x.course.hear(b"")
        await up.finish(down.trailers)
        x.sent = True
    except OSError:
        pass  # the upstream wants no more of it; its answer, if there is one, says why
    except (Cut, Malformed) as problem:
        trouble.append(problem)
        scope.cancel()
