"""A caller whose bytes are passed on as they are: TCP services, TLS, and whatever else is not HTTP."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from composemesh.model.flag import Flag
from composemesh.model.peer import PeerKind
from composemesh.model.policy import HashKey
from composemesh.model.record import Record
from composemesh.proxy.balance.base import Asked
from composemesh.proxy.checkout import connect
from composemesh.proxy.relay import Moved, relay
from composemesh.proxy.tries import note
from composemesh.proxy.upstream.dial import Unconnected

if TYPE_CHECKING:
    from composemesh.model.peer import Peer
    from composemesh.proxy.cluster import Cluster, Target
    from composemesh.proxy.connection import Connection
    from composemesh.proxy.pool import Pool
    from composemesh.proxy.wire import Wire
    from composemesh.telemetry.hub import TcpSeries


class Reached(NamedTuple):
    """A target, and a connection to it."""

    target: Target
    wire: Wire
    pool: Pool
    """Where the connection may wait, if it turns out to be HTTP's."""


async def reach(cluster: Cluster, connection: Connection, port: int = 0) -> Reached | None:
    """Dial the cluster's targets in the balancer's order until one answers; None where none does, or may.

    `port`: where a rule leads; 0 for the port that the client connected to.
    """
    port = port or connection.port
    policy = cluster.policy(port)
    limits = policy.limits if policy is not None else None
    by_source = policy is not None and policy.hash is not None and policy.hash.key is HashKey.SOURCE_IP
    asked = Asked(connection.cluster().asked, connection.peer_address if by_source else None)
    tried: list[Target] = []
    while (target := cluster.choose(policy, port, tried, asked)) is not None and target not in tried:
        if limits is not None and (limits.queue or not limits.begin_connection()):
            return None
        pool = target.pool(port, policy, connection.introduction)
        try:
            wire = await connect(target, port, connection.reactor, pool)
        except Unconnected:
            target.endpoint.failed(port)
            tried.append(target)
            note(policy, cluster, target, 0)
        else:
            note(policy, cluster, target, 200)
            return Reached(target, wire, pool)
    return None


class OpaqueDownstream:
    """One such connection, from its first byte to its one record."""

    __slots__ = ("_connection", "_moved", "_series", "_settled", "_started")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._moved = Moved()
        self._settled = Moved()
        """What telemetry has been told of already."""
        self._started = time.monotonic()
        self._series: TcpSeries | None = None

    def settle(self) -> None:
        """Tell telemetry what has passed so far, which for a long connection must not wait for its end."""
        moved, settled, series = self._moved, self._settled, self._series
        if series is None:
            return
        series.received += moved.received - settled.received
        series.sent += moved.sent - settled.sent
        settled.received, settled.sent = moved.received, moved.sent

    async def run(self, reached: Reached, first: bytes) -> None:
        """Pump, beginning with what the client has said already, until both sides have ended."""
        target, upstream, pool = reached
        connection = self._connection
        peer = target.endpoint.peer
        if connection.sni and peer.kind is PeerKind.EXTERNAL and peer.service == target.host:  # and not declared
            peer = connection.sidecar.planner.outside(connection.sni, peer)
        self._series = series = connection.hub.tcp(connection.source, peer)
        series.opened += 1
        target.endpoint.active += 1
        limits = pool.settings
        connection.pumps(self._moved, limits.tcp_idle_timeout, limits.max_connection_duration)
        flag = Flag.NONE
        try:
            if first:
                await upstream.send(first)
                self._moved.received += len(first)
            if not await relay(connection.wire, upstream, self._moved):
                flag = Flag.UPSTREAM_CONNECTION_TERMINATION
        except OSError:
            upstream.close()
            connection.wire.reset()
            flag = Flag.UPSTREAM_CONNECTION_TERMINATION
        except BaseException:
            upstream.close()
            flag = connection.why
            raise
        finally:
            target.endpoint.active -= 1
            self.settle()
            series.closed += 1
            self._tell(peer, flag)

    def refuse(self) -> None:
        """Nobody could be reached: the client sees a reset, as it would have without a mesh."""
        led = self._connection.led
        cluster = self._connection.meant() if led is None else led.cluster
        if cluster is None:
            self._tell(self._connection.cluster().unreached, Flag.NO_CLUSTER_FOUND)
            self._connection.wire.reset()
            return
        policy = cluster.policy(self._connection.port if led is None else led.port)
        full = policy is not None and policy.limits is not None and policy.limits.full
        flag = Flag.UPSTREAM_OVERFLOW if full else Flag.UPSTREAM_CONNECTION_FAILURE
        self._tell(cluster.unreached, flag if cluster.targets else cluster.nobody().flag)
        self._connection.wire.reset()

    def _tell(self, destination: Peer, flag: Flag) -> None:
        record = Record(self._connection.source, destination, "tcp")
        record.x_forwarded_for = self._connection.peer_text
        record.sni = self._connection.sni
        record.route = self._connection.led.route if self._connection.led is not None else ""
        record.duration = time.monotonic() - self._started
        record.start = time.time() - record.duration
        record.flag = flag
        record.bytes_received, record.bytes_sent = self._moved.received, self._moved.sent
        self._connection.hub.tell(record)
