"""Which connection a request travels on, and in which protocol: the one place where that is decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from composemesh.model.flag import Flag
from composemesh.proxy.refuse import Broken
from composemesh.proxy.retry import SAFE
from composemesh.proxy.upstream.dial import Unconnected, dial
from composemesh.proxy.upstream.h1 import Http1Upstream
from composemesh.proxy.upstream.h2 import Http2Upstream, new_link
from composemesh.proxy.upstream.upgrade import protocols, travels_in_http2

if TYPE_CHECKING:
    from composemesh.proxy.cluster import Target
    from composemesh.proxy.exchange import Downstream, Exchange, Upstream
    from composemesh.proxy.pool import Pool
    from composemesh.proxy.upstream.h2 import Http2Link
    from composemesh.proxy.wire import Reactor, Wire


async def checkout(x: Exchange, down: Downstream, target: Target) -> Upstream:
    """A connection to the target that can take this request: one that waits for the next, or else a new one.

    Raises Broken where none comes about. Whatever happens to the exchange then, `release` the connection.
    """
    head, pool = x.head, target.pool(x.port)
    if target.speaks_http2(head.version):
        upgrade = bool(protocols(head))
        if not upgrade or travels_in_http2(head):
            link = await _link(pool, target, x.port, down.reactor)
            if not upgrade or await link.takes_upgrades():
                return Http2Upstream(link)
        # What HTTP/2 cannot say, or this server does not understand there, HTTP/1.1 can.
    up = pool.checkout(repeatable=x.whole and head.method in SAFE)
    return up or Http1Upstream(await _dial(target, x.port, down.reactor), pool, target.limits)


def adopt(wire: Wire, target: Target, port: int, version: int, reactor: Reactor) -> None:
    """Keep a connection that was made before its client had said what for: its first request finds it waiting."""
    pool = target.pool(port)
    if target.speaks_http2(version):
        pool.add(new_link(wire, reactor, target.limits))
    else:
        pool.checkin(Http1Upstream(wire, pool, target.limits))


async def _link(pool: Pool, target: Target, port: int, reactor: Reactor) -> Http2Link:
    """A connection that others use too, or a new one where those are full."""
    link = pool.link()
    if link is None:
        async with pool.dialling:
            link = pool.link()
            if link is None:
                link = new_link(await _dial(target, port, reactor), reactor, target.limits)
                pool.add(link)
    return link


async def _dial(target: Target, port: int, reactor: Reactor) -> Wire:
    try:
        return await dial(target.namespace, target.address(port), reactor, target.limits)
    except Unconnected as problem:
        target.endpoint.failed(port)
        raise Broken(Flag.UPSTREAM_CONNECTION_FAILURE, str(problem), connected=False) from None
