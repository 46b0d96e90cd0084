"""One accepted socket: where was it going, what does it speak → serve it as HTTP, or pass it on.

Where nothing is known of a port, the callee is dialled at once, and whoever speaks first decides. What a port was
found to speak is remembered, so that HTTP connections after the first dial only when a request needs it.
"""

from __future__ import annotations

import math
import socket
import time
from typing import TYPE_CHECKING, Final

import trio

from composemesh.model.flag import Flag
from composemesh.model.peer import UNKNOWN
from composemesh.model.record import Record
from composemesh.model.snapshot import Protocol
from composemesh.proxy.checkout import adopt
from composemesh.proxy.codec.parts import HTTP2, Malformed
from composemesh.proxy.codec.proxy_protocol import encode
from composemesh.proxy.detect import Detected
from composemesh.proxy.downstream.h1 import Http1Downstream
from composemesh.proxy.downstream.h2 import Http2Connection
from composemesh.proxy.downstream.opaque import OpaqueDownstream, Reached, reach
from composemesh.proxy.first_words import PATIENCE, FirstWords, first_words, server_name
from composemesh.proxy.introduction import hear_introduction
from composemesh.proxy.wire import Wire

if TYPE_CHECKING:
    from composemesh.model.peer import Peer
    from composemesh.proxy.cluster import Cluster
    from composemesh.proxy.edge import Edge
    from composemesh.proxy.listener import Sidecar
    from composemesh.proxy.relay import Moved
    from composemesh.proxy.rules import Led
    from composemesh.runtime.captured import Address

HTTP: Final = frozenset({Detected.HTTP1, Detected.HTTP2})
DECLARED_HTTP: Final = frozenset({Protocol.HTTP, Protocol.GRPC_WEB})
GRACE: Final = 0.25
"""Seconds after which a waiting client that has closed its half is taken to have left (as Envoy does, at once)."""


class Connection:
    """A downstream connection. The sidecar cancels `scope`, having said `why`, when its time is up."""

    __slots__ = (
        *("_expires", "_idle_limit", "_moved"),
        "client",
        "deadline",
        "destination",
        "draining",
        "edge",
        "exchanging",
        "filters",
        "http2",
        "hub",
        "inbound",
        "led",
        "load",
        "opaque",
        "peer_address",
        "peer_text",
        "port",
        "reactor",
        "scope",
        "sidecar",
        "sni",
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
        self._know(_address_of(sock))
        self.edge: Edge | None = None
        self.filters = sidecar.planner.filters
        self.hub = sidecar.hub
        self.load = sidecar.load(inbound)
        self.scope = trio.CancelScope()
        self.deadline = math.inf
        self.waiting = 0.0
        """Since when the client has been waiting for an answer; 0 when it is not."""
        self.sni = ""
        """Whom a TLS client asks for; nothing of what follows is decrypted."""
        self.exchanging = False
        self.draining = False
        self.http2: Http2Connection | None = None
        """What this connection has become, if the client speaks HTTP/2."""
        self.unsure = False
        """Whether the port is taken for HTTP only by what its client said: the application has yet to agree."""
        self.led: Led | None = None
        """Where a rule for connections leads, if one does."""
        self.opaque: OpaqueDownstream | None = None
        """The relay that this connection has become, if it has."""
        self._moved: Moved | None = None
        """What has passed, where all there is to do is to pass on."""
        self._idle_limit = self._expires = math.inf
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
        return plan.outbound(self.sidecar.endpoint, self.destination, self.port)

    def introduction(self, version: int) -> bytes:
        """What to say first to a server that is to know who calls it; `version` of the PROXY protocol, 0 for none."""
        return encode(version, self.client, (self.destination, self.port)) if version else b""

    def _know(self, client: Address) -> None:
        """Take it that the client is at this address."""
        self.client = client
        self.peer_text, _ = client
        self.peer_address = self.peer_text.encode()

    def meant(self) -> Cluster:
        """The same for what is passed on, where the server that a client asks for may say more than an address."""
        cluster = self.cluster()
        return cluster.named(self.sni.encode()) if self.sni and cluster.ambiguous else cluster

    def heard_http(self) -> None:
        """The application has answered in HTTP. From now on its port is known, and not before: otherwise one client
        that says GET to a database would have every other client of it refused."""
        self.unsure = False
        self.cluster().spoken.learned[self.port] = Protocol.HTTP

    def idle(self) -> None:
        """From now on the next exchange is awaited, for so long."""
        self.exchanging = False
        self.deadline = time.monotonic() + (self.load.limits.idle_timeout or math.inf)

    def pumps(self, moved: Moved, idle_limit: float, longest: float = 0.0) -> None:
        """From now on all is passed on as it is; in seconds, how long nothing may pass, and how long anything may."""
        self.exchanging = True
        self.deadline = math.inf
        self._moved = moved
        self._idle_limit = idle_limit or math.inf
        self._expires = time.monotonic() + (longest or math.inf)

    def end(self, flag: Flag) -> None:
        """Cancel whatever this connection is doing."""
        self.why = flag
        self.scope.cancel()

    def look_after(self, now: float) -> None:
        """Called twenty times a second: end what is overdue, and the exchange of a client that has left."""
        if self.opaque is not None:
            self.opaque.settle()
        if self.http2 is not None:
            self.http2.look_after(now)
        if self._moved is not None:
            if self._moved.idle(now) > self._idle_limit:
                self.end(Flag.STREAM_IDLE_TIMEOUT)
            elif now > self._expires:
                self.end(Flag.DURATION_TIMEOUT)
        elif now > self.deadline:
            self.end(Flag.DOWNSTREAM_PROTOCOL_ERROR if self.exchanging else Flag.NONE)
        elif self.waiting and now - self.waiting > GRACE and self.wire.ended:
            self.end(Flag.DOWNSTREAM_CONNECTION_TERMINATION)
        elif (
            self.exchanging
            and self.http2 is None
            and self.wire.is_stuck(now, self.load.limits.slow_reader_timeout or math.inf)
        ):
            self.end(Flag.STREAM_IDLE_TIMEOUT)

    def drain(self) -> None:
        """No further exchange: end now if idle, else with the present one."""
        self.draining = True
        if not self.exchanging:
            self.end(Flag.NONE)
        elif self.http2 is not None:
            self.http2.drain()

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
        first = b""
        if self.inbound and self.sidecar.endpoint.introduced:
            try:
                first = await self._be_introduced()
            except Malformed:
                self._refuse_stranger()
                return
        cluster = self.cluster()
        spoken = cluster.spoken
        protocol = spoken.protocol(self.port)
        if protocol is Protocol.TCP:
            if cluster.rules is not None and cluster.rules.reads_server_names(self.port):
                self.sni, first = await server_name(self.wire, first)
            await self._pass_on(await self._reach(cluster), first)
            return
        reached: Reached | None = None
        patience = math.inf
        if protocol is Protocol.AUTO:
            reached = await self._reach(cluster)
            patience = PATIENCE if reached is None else math.inf
        self.idle()
        try:
            words = await first_words(self.wire, reached.wire if reached is not None else None, patience, first)
            first = words.first
            if words.kind is Detected.TLS:
                self.sni, first = await server_name(self.wire, first)
        except BaseException:
            if reached is not None:
                reached.wire.close()
            raise
        self.deadline = math.inf
        if words.greeted:
            spoken.learned[self.port] = Protocol.TCP
        if words.kind in HTTP or spoken.declared.get(self.port) in DECLARED_HTTP:
            await self._serve(words, reached)
        elif words.first or words.kind is Detected.OPAQUE or (protocol is Protocol.AUTO and reached is None):
            # Also where HTTP was heard before: a port may speak TLS as well, or something else of its own.
            if self.sni and cluster.ambiguous:
                cluster, reached = self._named(cluster, reached)
            await self._pass_on(await self._reach(cluster, reached), first)
        elif reached is not None:
            reached.wire.close()

    async def _reach(self, cluster: Cluster, reached: Reached | None = None) -> Reached | None:
        """Dial where rules for connections lead, or else where the client was going; what was reached before its
        server's name was known counts where no rule looks at the name."""
        rules = cluster.rules
        if rules is not None and self.sni:
            by_name = rules.lead(self.destination, self.port, sni=self.sni, tls=True)
            if by_name is not None:
                self.led = by_name
                if reached is not None:
                    reached.wire.close()
                    reached = None
        if reached is not None:
            return reached
        if self.led is None and rules is not None:
            self.led = rules.lead(self.destination, self.port)
        if self.led is None:
            return await reach(cluster, self)
        return None if self.led.cluster is None else await reach(self.led.cluster, self, self.led.port)

    async def _be_introduced(self) -> bytes:
        """Learn from the proxy in front who the client is; returns what came along of the client's own. Raises
        Malformed and OSError."""
        stated, first = await hear_introduction(self.wire)
        self._know(stated.source or self.client)
        return first

    def _refuse_stranger(self) -> None:
        """Who should have said whom it speaks for, or asks for, and did not, is not listened to."""
        record = Record(self.source, self.cluster().unreached, "tcp")
        record.start = time.time()
        record.flag = Flag.DOWNSTREAM_PROTOCOL_ERROR
        self.hub.tell(record)
        self.wire.reset()

    async def _serve(self, words: FirstWords, reached: Reached | None) -> None:
        if reached is not None:
            self.unsure = True
            version = HTTP2 if words.kind is Detected.HTTP2 else 11
            adopt(reached.wire, reached.pool, version, self.reactor)
        if words.kind is Detected.HTTP2:
            await Http2Connection(self).run(words.first)
        elif words.first:
            await Http1Downstream(self).run(words.first)

    def _named(self, cluster: Cluster, reached: Reached | None) -> tuple[Cluster, Reached | None]:
        """The same, now that a TLS client has said which host it means by an address outside."""
        cluster = cluster.named(self.sni.encode())
        if reached is None:
            return cluster, None
        dialled = reached.target.address(self.port)
        for target in cluster.targets:
            if target.address(self.port) == dialled:
                return cluster, reached._replace(target=target)
        reached.wire.close()
        return cluster, None

    async def _pass_on(self, reached: Reached | None, first: bytes) -> None:
        self.opaque = opaque = OpaqueDownstream(self)
        if reached is None:
            opaque.refuse()
        else:
            await opaque.run(reached, first)


def _address_of(sock: socket.socket) -> Address:
    try:
        host, port = sock.getpeername()[:2]
    except OSError:
        return "unknown", 0
    return host.removeprefix("::ffff:"), port
