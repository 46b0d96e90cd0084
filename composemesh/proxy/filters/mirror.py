"""Mirrors: copies of requests, whose answers are thrown away. Nobody waits for one, and none is worth a failure."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import trio

from composemesh.model.flag import Flag
from composemesh.model.policy import Retry
from composemesh.model.record import LONGEST_TEXT, Record
from composemesh.proxy.codec.parts import CHUNKED, NO_FIELDS, Malformed
from composemesh.proxy.exchange import Course, Exchange
from composemesh.proxy.filters.rewrite import rewritten_head
from composemesh.proxy.forward import forward
from composemesh.proxy.refuse import Cut, Refused
from composemesh.routing.chance import MIRROR, Chance

if TYPE_CHECKING:
    from composemesh.model.peer import Peer
    from composemesh.model.route import Mirror
    from composemesh.proxy.chain.live import Filters
    from composemesh.proxy.cluster import Cluster
    from composemesh.proxy.codec.parts import Fields, RequestHead, ResponseHead
    from composemesh.proxy.edge import Edge
    from composemesh.proxy.exchange import Downstream, Upstream
    from composemesh.proxy.load import Load
    from composemesh.proxy.reactor import Reactor
    from composemesh.telemetry.hub import Hub

MOST_IN_FLIGHT = 64
"""Copies of one mirror that are under way, or kept until their request is complete; while there are as many, others
are not copied."""
MOST_BODY = 1 << 20
"""Bytes of a body that are kept for a copy; a longer request is not copied."""
NEVER = Retry(attempts=0)
"""A copy that fails is not sent again (Envoy's shadows neither): that would be load, and nobody's gain."""
PATIENCE = 15.0
"""Seconds that a copy is followed, where its rule has no timeout (Envoy's default for a request)."""
PROTOCOL = "mirror"
"""What records of copies have for a protocol: edges and series of the original stay what they are."""


class Mirroring:
    """One mirror of a rule, whose turn it is, and how many of its copies are under way."""

    __slots__ = ("_chance", "_in_flight", "_kept", "destination", "percent")

    def __init__(self, mirror: Mirror, number: int) -> None:
        self.destination = mirror.destination
        self.percent = mirror.percent
        self._chance = Chance(MIRROR + number)
        self._in_flight = 0
        self._kept: set[Course] = set()
        """Of requests that are still coming."""

    def __repr__(self) -> str:
        return f"<Mirroring to {self.destination} {self.percent} % in flight={self._in_flight}>"

    def hits(self) -> bool:
        """Whether the present request is to be copied."""
        return self._chance.hits(self.percent) and self._in_flight + len(self._kept) < MOST_IN_FLIGHT

    def copy(self, x: Exchange, down: Downstream, cluster: Cluster, port: int, route: str) -> None:
        """Have a copy sent, at once or when the caller has sent all of its request."""
        course = x.course
        assert course is not None, "a rule asked for it"
        if x.head.upgrade or x.head.is_connect:
            return  # what follows is a conversation
        shadow = Shadow(down, cluster, port)
        if len(x.body) > MOST_BODY:
            return
        if x.whole:
            self._start(shadow, x.head, x.body, course, route)
            return
        body = bytearray(x.body)

        def heard(payload: bytes) -> None:
            if not payload:
                self.forget(course)
                self._start(shadow, x.head, bytes(body), course, route)
            elif len(body) + len(payload) > MOST_BODY:
                self.forget(course)
                course.on_body.remove(heard)
                body.clear()
            else:
                body.extend(payload)

        self._kept.add(course)
        course.on_body.append(heard)

    def forget(self, course: Course) -> None:
        """The request is over, whether or not all of it came."""
        self._kept.discard(course)

    def _start(self, shadow: Shadow, head: RequestHead, body: bytes, original: Course, route: str) -> None:
        self._in_flight += 1
        course = Course(original.rule)
        course.on_request = original.on_request
        course.retry = NEVER
        shadow.reactor.start(partial(self._run, shadow, shadow_head(head, len(body)), body, course, route))

    async def _run(self, shadow: Shadow, head: RequestHead, body: bytes, course: Course, route: str) -> None:
        started = trio.current_time()
        record = shadow.record(head, route)
        record.bytes_received = len(body)
        x = Exchange(head, record, shadow.cluster(), body, True, shadow.port)
        x.course = course
        try:
            with trio.move_on_after(course.rule.timeout or PATIENCE) as scope:
                await forward(x, shadow, shadow.cluster())
            if scope.cancelled_caught:
                record.flag = Flag.UPSTREAM_REQUEST_TIMEOUT
        except (Refused, Cut) as problem:
            record.flag = problem.flag
        except Malformed:
            record.flag = Flag.UPSTREAM_PROTOCOL_ERROR
        except BaseException:
            record.flag = shadow.why
            raise
        finally:
            self._in_flight -= 1
            record.duration = trio.current_time() - started
            shadow.hub.tell(record)


def shadow_head(head: RequestHead, length: int) -> RequestHead:
    """The head of the copy: for `reviews-shadow:9080`, so that its receiver can tell, and of a body that is whole."""
    copy = rewritten_head(head, b"", shadow_authority(head.authority))
    if copy.body == CHUNKED or copy.body < 0:
        copy.body = length
        copy.fields = [field for field in copy.fields if field[0].lower() != b"transfer-encoding"]
        copy.fields.append((b"content-length", b"%d" % length))
    copy.expect_continue = False
    copy.fields = [field for field in copy.fields if field[0].lower() != b"expect"]
    return copy


def shadow_authority(authority: bytes) -> bytes:
    """`-shadow` after the host, before the port (Envoy's)."""
    host, colon, port = authority.rpartition(b":")
    if colon and port.isdigit():
        return host + b"-shadow:" + port
    return authority + b"-shadow" if authority and not authority.endswith(b"]") else authority


class Shadow:
    """A caller's end that nobody listens at."""

    __slots__ = (
        *(
            "_cluster",
            "edge",
            "filters",
            "hub",
            "introduction",
            "load",
            "peer_address",
            "peer_text",
            "port",
            "reactor",
        ),
        *("source", "trailers", "why"),
    )

    def __init__(self, down: Downstream, cluster: Cluster, port: int) -> None:
        self._cluster = cluster
        self.port = port
        self.source: Peer = down.source
        self.peer_address: bytes = down.peer_address
        self.peer_text: str = down.peer_text
        self.introduction = down.introduction
        self.load: Load = down.load
        self.edge: Edge | None = down.edge
        self.filters: Filters = down.filters
        self.hub: Hub = down.hub
        self.reactor: Reactor = down.reactor
        self.why = Flag.OVERLOAD_MANAGER
        self.trailers: Fields = NO_FIELDS

    def __repr__(self) -> str:
        return f"<Shadow of {self.peer_text} → {self._cluster.service}>"

    def record(self, head: RequestHead, route: str) -> Record:
        """A record of the copy, told apart from the original's by its protocol."""
        record = Record(self.source, self._cluster.unreached, PROTOCOL)
        record.start = time.time()
        record.route = route
        record.http_version = head.version
        record.method = head.method[:LONGEST_TEXT].decode("latin-1")
        record.path = head.path[:LONGEST_TEXT].decode("latin-1")
        record.authority = head.authority[:LONGEST_TEXT].decode("latin-1")
        record.x_forwarded_for = self.peer_text
        return record

    def cluster(self) -> Cluster:
        return self._cluster

    async def read(self, x: Exchange) -> bytes:
        return b""

    async def interim(self, head: ResponseHead) -> None:
        pass

    async def respond(self, x: Exchange, head: ResponseHead, fields: Fields, payload: bytes, ended: bool) -> None:
        x.answered = True

    async def send(self, payload: bytes) -> None:
        pass

    async def finish(self, trailers: Fields) -> None:
        pass

    async def tunnel(self, x: Exchange, up: Upstream, head: ResponseHead, fields: Fields, data: bytes) -> None:
        pass
