"""Which connection a request travels on, and in which protocol: the one place where that is decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from composemesh.model.flag import Flag
from composemesh.model.policy import H2Upgrade
from composemesh.proxy.codec.parts import HTTP2
from composemesh.proxy.refuse import Broken
from composemesh.proxy.retry import SAFE
from composemesh.proxy.upstream.dial import Unconnected, dial
from composemesh.proxy.upstream.h1 import Http1Upstream
from composemesh.proxy.upstream.h2 import Http2Upstream, new_link
from composemesh.proxy.upstream.upgrade import protocols, travels_in_http2

if TYPE_CHECKING:
    from composemesh.proxy.cluster import Target
    from composemesh.proxy.exchange import Downstream, Exchange, Upstream
    from composemesh.proxy.limits import Limits
    from composemesh.proxy.pool import Pool
    from composemesh.proxy.reactor import Reactor
    from composemesh.proxy.upstream.h2 import Http2Link
    from composemesh.proxy.wire import Wire


async def checkout(x: Exchange, down: Downstream, target: Target, pool: Pool) -> Upstream:
    """A connection to the target that can take this request: one that waits for the next, or else a new one.

    Raises Broken where none comes about, and Refused where there are too many. Whatever happens to the exchange then,
    `release` the connection.
    """
    head = x.head
    if speaks_http2(pool, _version(x, down)):
        upgrade = bool(protocols(head))
        if not upgrade or travels_in_http2(head):
            link = await _link(pool, target, x.port, down.reactor)
            if not upgrade or await _takes_upgrades(link):
                return Http2Upstream(link)
        # What HTTP/2 cannot say, or this server does not understand there, HTTP/1.1 can.
    repeatable = x.whole and head.method in SAFE
    limits = pool.limits
    if limits is None or not limits.queue:
        up = pool.checkout(repeatable=repeatable)
        if up is not None:
            return up
    if limits is not None:
        room = limits.begin_connection
        waiting = await limits.turn(lambda: pool.checkout(repeatable=repeatable) or room() or None)
        if isinstance(waiting, Http1Upstream):
            return waiting
    return Http1Upstream(await _dial(target, x.port, down.reactor, pool), pool)


def _version(x: Exchange, down: Downstream) -> int:
    """Whose version of HTTP is kept where nothing else is said: the caller's. Browsers speak HTTP/2 to a gateway,
    and that says nothing of the service; gRPC does."""
    return 11 if down.edge is not None and x.record.protocol != "grpc" else x.head.version


async def _takes_upgrades(link: Http2Link) -> bool:
    """As the link says; one that nobody will use is left, also if cancelled."""
    taken = False
    try:
        taken = await link.takes_upgrades()
    finally:
        if not taken:
            link.leave()
    return taken


def adopt(wire: Wire, pool: Pool, version: int, reactor: Reactor) -> None:
    """Keep a connection that was made before its client had said what for: its first request finds it waiting."""
    if speaks_http2(pool, version):
        pool.add(new_link(wire, reactor, pool.settings))
    else:
        pool.checkin(Http1Upstream(wire, pool))


def speaks_http2(pool: Pool, version: int) -> bool:
    """Whether a request that came in that version of HTTP is sent on in HTTP/2."""
    if pool.limits is None:
        return version == HTTP2
    upgrade = pool.limits.settings.h2_upgrade
    return upgrade is H2Upgrade.ALWAYS or (version == HTTP2 and upgrade is H2Upgrade.AS_CLIENT)


async def connect(target: Target, port: int, reactor: Reactor, pool: Pool) -> Wire:
    """A new connection to the target; where the pool's limits count connections, one that they have counted already.

    Raises Unconnected. If cancelled, nothing is left open, nor counted.
    """
    limits = pool.limits
    try:
        wire = await dial(target.namespace, target.address(port), reactor, pool.settings, pool.introduction)
    except BaseException:
        if limits is not None:
            limits.end_connection()
        raise
    if limits is not None:
        wire.on_close = limits.end_connection
    return wire


async def _link(pool: Pool, target: Target, port: int, reactor: Reactor) -> Http2Link:
    """A connection that others use too, or a new one where those are full."""
    if pool.limits is not None:
        return await _link_within(pool.limits, pool, target, port, reactor)
    link = pool.link()
    if link is None:
        failures = pool.failures
        async with pool.dialling:
            link = pool.link()
            if link is None:
                if pool.failures > failures:
                    raise Broken(Flag.UPSTREAM_CONNECTION_FAILURE, pool.why, connected=False)
                link = await _new_link(pool, target, port, reactor)
                pool.add(link)
    return link


async def _new_link(pool: Pool, target: Target, port: int, reactor: Reactor) -> Http2Link:
    """Dialled by one for all who wait for it: a hundred who dialled one after the other, where each dial takes ten
    seconds to fail, would know it after a quarter of an hour."""
    try:
        wire = await _dial(target, port, reactor, pool)
    except Broken as problem:
        pool.failures += 1
        pool.why = problem.detail
        raise
    return new_link(wire, reactor, pool.settings)


async def _link_within(limits: Limits, pool: Pool, target: Target, port: int, reactor: Reactor) -> Http2Link:
    """The same, where connections are counted. Who finds one being made waits in the queue for it to be there."""
    failures = pool.failures

    def take() -> tuple[Http2Link | None] | None:
        link = pool.link()
        if link is None and pool.failures > failures:
            raise Broken(Flag.UPSTREAM_CONNECTION_FAILURE, pool.why, connected=False)
        room = link is not None or (not pool.dialling.locked() and limits.begin_connection())
        return (link,) if room else None

    (link,) = await limits.turn(take)
    if link is not None:
        return link
    pool.dialling.acquire_nowait()  # nothing was awaited since `take` saw it free
    try:
        link = await _new_link(pool, target, port, reactor)
    finally:
        pool.dialling.release()
    pool.add(link)
    return link


async def _dial(target: Target, port: int, reactor: Reactor, pool: Pool) -> Wire:
    try:
        return await connect(target, port, reactor, pool)
    except Unconnected as problem:
        target.endpoint.failed(port)
        raise Broken(Flag.UPSTREAM_CONNECTION_FAILURE, str(problem), connected=False) from None
