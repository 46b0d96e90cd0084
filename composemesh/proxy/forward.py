"""THE SPINE, page 2. One request on its way to an endpoint: pick → checkout → send → retry → answer."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import trio

from composemesh.model.flag import Flag
from composemesh.model.peer import UNKNOWN
from composemesh.model.snapshot import Protocol
from composemesh.proxy.answer import answer
from composemesh.proxy.checkout import checkout
from composemesh.proxy.codec.parts import Malformed
from composemesh.proxy.grpc_web import bridged
from composemesh.proxy.headers import request_fields
from composemesh.proxy.refuse import Again, Broken, Cut, Refused
from composemesh.proxy.retry import SAFE, may_retry
from composemesh.proxy.tries import FIRST_PAUSE, Tries

if TYPE_CHECKING:
    from composemesh.proxy.cluster import Cluster, Target
    from composemesh.proxy.codec.parts import Fields
    from composemesh.proxy.exchange import Downstream, Exchange, Upstream
    from composemesh.proxy.policies import Policy
    from composemesh.proxy.pool import Pool


async def forward(x: Exchange, down: Downstream, cluster: Cluster, *, filtered: bool = False) -> None:
    """Have the request answered by one of the cluster's targets; first, unless `filtered`, by way of its filters.

    Raises Malformed, Refused where the mesh must answer itself, and Cut where an answer began and could not be
    finished. If cancelled, the upstream connection is closed.
    """
    chain = cluster.filters
    if chain is not None and not filtered and (x.view is None or not x.view.complete):
        down = chain.enter(x, down)
        if chain.arounds:
            await chain.surround(x, down, partial(forward, x, down, cluster, filtered=True))
            return
    if cluster.spoken.declared.get(x.port) is Protocol.GRPC_WEB:
        down = bridged(x, down)
    fields = outgoing(x, down) if x.begun is None else x.begun.fields
    retry = x.course.retry if x.course is not None else None
    policy = None if cluster.policies is None else cluster.policies[x.port]
    if retry is None and policy is None:
        await _plainly(x, down, cluster, fields)
        return
    x.tries = tries = Tries(x, down, cluster, policy, retry)
    try:
        await _as_told(x, down, tries, policy, fields)
    finally:
        tries.close()


def outgoing(x: Exchange, down: Downstream) -> Fields:
    """The fields that travel on, and the id that goes with them."""
    head = x.head
    if down.edge is not None:
        fields, request_id = down.edge.request_fields(head, down.peer_address)
    else:
        outside = down.source is UNKNOWN
        fields, request_id = request_fields(head.fields, head.values, down.peer_address, outside=outside)
    x.record.request_id = request_id.decode("latin-1")
    return fields if x.course is None else x.course.request(fields)


def attempt(x: Exchange, target: Target) -> None:
    """A try begins; when it is over, one less is active there."""
    record = x.record
    record.attempts += 1
    record.destination = target.endpoint.peer
    target.endpoint.active += 1


async def _plainly(x: Exchange, down: Downstream, cluster: Cluster, fields: Fields) -> None:
    """Try as the default has it. Most requests meet no rule and no policy, and must not pay for those that do."""
    record = x.record
    tried: list[Target] = []
    pause = FIRST_PAUSE
    while True:
        if x.begun is not None:
            target: Target | None = x.begun.target
        else:
            target = cluster.pick(x.port, tried)
            if target is not None:
                attempt(x, target)
        if target is None:
            if not tried:
                raise cluster.nobody()
            tried.clear()
            await trio.sleep(pause)
            pause *= 2
            continue
        try:
            await _attempt(x, down, target, target.pool(x.port), fields)
            return
        except Broken as broken:
            tried.append(target)
            again = may_retry(
                x.head.method,
                attempt=record.attempts,
                untried=len(tried) < len(cluster.targets),
                body_replayable=x.replayable,
                connected=broken.connected and not broken.unsent,
            )
            if not again:
                raise Refused(broken.flag, broken.detail) from None
            x.rewind(down.trailers)
        finally:
            target.endpoint.active -= 1


async def _as_told(x: Exchange, down: Downstream, tries: Tries, policy: Policy | None, fields: Fields) -> None:
    """Try as a rule or a policy has it: whom to ask, for how long, and whether what came is good enough."""
    while True:
        target = tries.begin()
        x.record.attempts += 1
        x.record.destination = target.endpoint.peer
        try:
            pool = target.pool(x.port, policy, down.introduction)
            await _attempt(x, down, target, pool, tries.counted(fields))
            tries.succeeded()
            return
        except Again:
            pause = tries.pause()
        except Broken as broken:
            pause = tries.unanswered(broken)
        except Refused as refused:
            if refused.flag is not Flag.UPSTREAM_PROTOCOL_ERROR:
                raise
            pause = tries.unanswered(Broken(refused.flag, refused.detail))
        finally:
            tries.end()
        x.rewind(down.trailers)
        await trio.sleep(pause)


async def _attempt(x: Exchange, down: Downstream, target: Target, pool: Pool, fields: Fields) -> None:
    """Send the request once, and relay what comes back. Raises Broken where nothing came back."""
    x.record.upstream_address = pool.address
    repeatable = x.whole and x.head.method in SAFE
    while True:
        begun, x.begun = x.begun, None
        up = begun.up if begun is not None else await checkout(x, down, target, pool)
        if x.tries is not None:
            x.tries.connected(up)
        try:
            if begun is None:
                await up.ask(x, fields)
                x.asked = time.monotonic()
            if x.whole and not up.untaken:
                await answer(x, down, up)
            else:
                await _stream(x, down, up)
        except Broken as broken:
            if not (up.reused and (broken.unsent or repeatable)) or (x.tries is not None and x.tries.rang):
                raise
            # The application had closed it meanwhile: that is no failure of the endpoint.
        else:
            return
        finally:
            up.release(x)


async def _stream(x: Exchange, down: Downstream, up: Upstream) -> None:
    """The request's body is still coming, or going: pump it while the answer is awaited, because either may end
    first."""
    failure: Again | Broken | Cut | Refused | None = None
    trouble: list[Cut | Malformed | Refused] = []  # of the pump: at most one
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_pump, x, down, up, trouble, nursery.cancel_scope)
        try:
            await answer(x, down, up)
        except (Again, Broken, Cut, Refused) as problem:
            failure = problem
        nursery.cancel_scope.cancel()
    for cause in trouble:
        raise cause
    if failure is not None:
        raise failure


async def _pump(
    x: Exchange, down: Downstream, up: Upstream, trouble: list[Cut | Malformed | Refused], scope: trio.CancelScope
) -> None:
    try:
        if up.untaken:
            await up.send_untaken(x)
        if x.whole:
            return
        while payload := await down.read(x):
            x.record.bytes_received += len(payload)
            x.keep(payload)
            if x.course is not None:
                x.course.hear(payload)
            await up.send(payload)
        if x.course is not None:
            x.course.hear(b"")
        await up.finish(down.trailers)
        x.sent = True
        if x.tries is not None and not x.answered:
            x.tries.sent()
    except OSError:
        pass  # the upstream wants no more of it; its answer, if there is one, says why
    except (Cut, Malformed, Refused) as problem:
        trouble.append(problem)
        scope.cancel()
