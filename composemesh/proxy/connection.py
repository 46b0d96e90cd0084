"""One accepted socket: where was it going, what does it speak → serve it as HTTP, or relay it.

Nobody is asked to declare protocols, and no timer guesses them. Where nothing is known of a port, the callee is
dialled at once, and whoever speaks first decides: a server that does is opaque TCP (MySQL, SMTP), else the client's
first bytes tell. What a port was found to speak is remembered, so that HTTP connections after the first dial only
when a request needs it.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from composemesh.model.flag import Flag
from composemesh.model.peer import UNKNOWN
from composemesh.model.record import Record
from composemesh.model.snapshot import Protocol
from composemesh.proxy.detect import PREFACE, Detected, detect, greets_in_http2
from composemesh.proxy.downstream.h1 import IDLE_TIMEOUT, Http1Downstream
from composemesh.proxy.downstream.h2 import Http2Connection
from composemesh.proxy.relay import Moved, relay
from composemesh.proxy.upstream.dial import Unconnected, dial
from composemesh.proxy.upstream.h1 import Http1Upstream
from composemesh.proxy.upstream.h2 import new_link
from composemesh.proxy.wire import Wire

if TYPE_CHECKING:
    from composemesh.model.peer import Peer
    from composemesh.proxy.cluster import Cluster, Target
    from composemesh.proxy.listener import Sidecar
    from composemesh.runtime.captured import Address
    from composemesh.telemetry.hub import TcpSeries

FIRST_BYTES_TIMEOUT = 1.0
"""Seconds to find out how to refuse a connection whose callee can't be reached: in HTTP, or with a reset."""


class Connection:
    """A downstream connection. The sidecar cancels `scope`, having said `why`, when its time is up."""

    __slots__ = (
        "_told_received",
        "_told_sent",
        "deadline",
        "destination",
        "draining",
        "exchanging",
        "hub",
        "inbound",
        "moved",
        "on_drain",
        "peer_address",
        "peer_text",
        "port",
        "reactor",
        "scope",
        "series",
        "sidecar",
        "source",
        "unsure",
        "waiting",
        "why",
        "wire",
    )

    def __init__(self, sidecar: Sidecar, sock: socket.socket, destination: Address, *, inbound: bool) -> None:
        self.sidecar = sidecar
        self.wire = Wire(sock, sidecar.reactor)
        self.reactor = sidecar.reactor
        self.destination, self.port = destination
        self.inbound = inbound
        self.source: Peer = UNKNOWN if inbound else sidecar.endpoint.peer
        self.peer_text = _address_of(sock)
        self.peer_address = self.peer_text.encode()
        self.hub = sidecar.hub
        self.scope = trio.CancelScope()
        self.deadline = math.inf
        self.waiting = 0.0
        """Since when the client has been waiting for an answer; 0 when it is not."""
        self.exchanging = False
        self.draining = False
        self.on_drain: Callable[[], None] | None = None
        """Says so to the client, in a protocol that has a word for it."""
        self.unsure = False
        """Whether the port is taken for HTTP only by what its client said: the application has yet to agree."""
        self.moved = Moved()
        """What a relay has passed on."""
        self._told_received = self._told_sent = 0
        self.series: TcpSeries | None = None
        self.why = Flag.DOWNSTREAM_CONNECTION_TERMINATION

    def __repr__(self) -> str:
        way = "inbound" if self.inbound else "outbound"
        state = "waiting" if self.waiting else "exchanging" if self.exchanging else "idle"
        return f"<Connection {way} {self.peer_text} → {self.destination}:{self.port} {state}>"

    def cluster(self) -> Cluster:
        """Where this connection is going, by the plan of this moment."""
        plan = self.sidecar.planner.plan
        if self.inbound:
            return plan.inbound(self.sidecar.endpoint, self.destination)
        return plan.outbound(self.sidecar.endpoint, self.destination)

    def heard_http(self) -> None:
        """The application has answered in HTTP. From now on its port is known, and not before: otherwise one client
        that says GET to a database would have every other client of it refused."""
        self.unsure = False
        self.cluster().spoken.learned[self.port] = Protocol.HTTP

    def end(self, flag: Flag) -> None:
        """Cancel whatever this connection is doing."""
        self.why = flag
        self.scope.cancel()

    def look_after(self, now: float) -> None:
        """Called every few milliseconds: end what is overdue, and the exchange of a client that has left."""
        if self.series is not None:
            self.settle()
        if now > self.deadline:
            self.end(Flag.DOWNSTREAM_PROTOCOL_ERROR if self.exchanging else Flag.NONE)
        elif self.waiting and now - self.waiting > 0.25 and self.wire.ended:
            self.end(Flag.DOWNSTREAM_CONNECTION_TERMINATION)

    def settle(self) -> None:
        """Tell telemetry what a relay has passed on, which for a long one must not wait for its end."""
        if self.series is not None:
            self.series.received += self.moved.received - self._told_received
            self.series.sent += self.moved.sent - self._told_sent
            self._told_received, self._told_sent = self.moved.received, self.moved.sent

    def drain(self) -> None:
        """No further exchange: end now if idle, else with the present one."""
        self.draining = True
        if not self.exchanging:
            self.end(Flag.NONE)
        elif self.on_drain is not None:
            self.on_drain()

    async def run(self) -> None:
        """Serve the connection to its end. Never raises for what a peer does; closes the socket."""
        with self.scope:
            try:
                self.wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await self._run()
            except OSError:
                pass  # the client has gone, between or within exchanges; a record says so where there was one
            finally:
                self.wire.close()

    async def _run(self) -> None:
        cluster = self.cluster()
        protocol = cluster.spoken.protocol(self.port)
        if protocol is Protocol.HTTP:
            await self._http(b"")
        elif protocol is Protocol.TCP:
            self.exchanging = True
            await self._relay(cluster, b"")
        else:
            await self._find_out(cluster)

    async def _http(self, first: bytes) -> None:
        """The client speaks first, and its preface, if it sends one, is that of HTTP/2."""
        self.deadline = time.monotonic() + IDLE_TIMEOUT
        while len(first) < len(PREFACE) and PREFACE.startswith(first):
            data = await self.wire.receive()
            if not data:
                return
            first += data
        if first.startswith(PREFACE):
            await Http2Connection(self).run(first)
        else:
            await Http1Downstream(self).run(first)

    async def _find_out(self, cluster: Cluster) -> None:
        target, upstream = await self._dial(cluster)
        first = b""
        kind = Detected.MORE
        try:
            while kind is Detected.MORE:
                server_spoke, data = await self._first_bytes(upstream)
                if server_spoke and greets_in_http2(_peek(upstream)):
                    # Such a server need not have heard anything; its client speaks all the same, and decides.
                    server_spoke, data = False, await self.wire.receive()
                if server_spoke:
                    kind = Detected.OPAQUE
                    if _is_greeting(_peek(upstream)):
                        cluster.spoken.learned[self.port] = Protocol.TCP
                elif not data:
                    break
                else:
                    first += data
                    kind = detect(first)
        except BaseException:
            if upstream is not None:
                upstream.close()
            raise
        if kind is Detected.HTTP1 or kind is Detected.HTTP2:
            self.unsure = True
            if upstream is not None and target is not None:
                pool = target.pool(self.port)
                if kind is Detected.HTTP1:
                    pool.checkin(Http1Upstream(upstream))
                else:
                    pool.add(new_link(upstream, self.reactor))
            await self._http(first)
        elif upstream is not None and target is not None and (first or kind is Detected.OPAQUE):
            await self._pump(target, upstream, first)
        else:
            if upstream is not None:
                upstream.close()
            else:
                self._tell(cluster.unreached, time.monotonic(), Flag.UPSTREAM_CONNECTION_FAILURE)
            self.wire.reset()

    async def _first_bytes(self, upstream: Wire | None) -> tuple[bool, bytes]:
        """Wait until either side speaks. Returns whether it was the server (its bytes are left unread), else the
        client's bytes; none where it closed, or where there is no server and it said nothing either."""
        if upstream is None:
            data = b""
            with trio.move_on_after(FIRST_BYTES_TIMEOUT):
                data = await self.wire.receive()
            return False, data
        server_spoke = client_spoke = False

        async def watch_server() -> None:
            nonlocal server_spoke
            await upstream.until_readable()
            server_spoke = True
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_server)
            await self.wire.until_readable()
            client_spoke = True
            nursery.cancel_scope.cancel()
        if client_spoke:
            return False, await self.wire.receive()
        return server_spoke, b""

    async def _dial(self, cluster: Cluster) -> tuple[Target | None, Wire | None]:
        """Reach any of the targets, in the balancer's order."""
        tried: list[Target] = []
        while (target := cluster.pick(tried)) is not None:
            try:
                return target, await dial(target.namespace, (target.host, self.port), self.reactor)
            except Unconnected:
                target.endpoint.failed()
                tried.append(target)
        return None, None

    async def _relay(self, cluster: Cluster, first: bytes) -> None:
        target, upstream = await self._dial(cluster)
        if target is None or upstream is None:
            self._tell(cluster.unreached, time.monotonic(), Flag.UPSTREAM_CONNECTION_FAILURE)
            self.wire.reset()
            return
        await self._pump(target, upstream, first)

    async def _pump(self, target: Target, upstream: Wire, first: bytes) -> None:
        started = time.monotonic()
        self.exchanging = True
        peer = target.endpoint.peer
        self.series = series = self.hub.tcp(self.source, peer)
        series.opened += 1
        target.endpoint.active += 1
        flag = Flag.NONE
        try:
            if first:
                await upstream.send(first)
                self.moved.received += len(first)
            if not await relay(self.wire, upstream, self.moved):
                flag = Flag.UPSTREAM_CONNECTION_TERMINATION
        except OSError:
            upstream.close()
            self.wire.reset()
            flag = Flag.UPSTREAM_CONNECTION_TERMINATION
        except BaseException:
            upstream.close()
            flag = self.why
            raise
        finally:
            target.endpoint.active -= 1
            self.settle()
            series.closed += 1
            self._tell(peer, started, flag)

    def _tell(self, destination: Peer, started: float, flag: Flag) -> None:
        record = Record(self.source, destination, "tcp")
        record.duration = time.monotonic() - started
        record.start = time.time() - record.duration
        record.flag = flag
        record.bytes_received, record.bytes_sent = self.moved.received, self.moved.sent
        self.hub.tell(record)


def _is_greeting(said: bytes) -> bool:
    """Whether a server that was heard before its client has a protocol in which servers speak first. One that merely
    closed has not, nor has an HTTP server that grew tired of a silent client: some send a 408 then."""
    return bool(said) and not b"HTTP/1.".startswith(said[:7])


def _peek(upstream: Wire | None) -> bytes:
    try:
        return b"" if upstream is None else upstream.peek(9)
    except OSError:
        return b""


def _address_of(sock: socket.socket) -> str:
    try:
        address: str = sock.getpeername()[0]
    except OSError:
        return "unknown"
    return address.removeprefix("::ffff:")
