"""What one request carries on its way through the mesh, and what the spine asks of the connections at its ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from composemesh.model.flag import Flag
    from composemesh.model.peer import Peer
    from composemesh.model.record import Record
    from composemesh.model.route import HttpRule
    from composemesh.proxy.chain.live import Filters
    from composemesh.proxy.chain.view import View
    from composemesh.proxy.cluster import Cluster, Target
    from composemesh.proxy.codec.parts import Fields, RequestHead, ResponseHead
    from composemesh.proxy.edge import Edge
    from composemesh.proxy.load import Load
    from composemesh.proxy.reactor import Reactor
    from composemesh.proxy.tries import Tries
    from composemesh.proxy.wire import Wire
    from composemesh.telemetry.hub import Hub

MOST_KEPT: Final = 65536
"""Bytes of a body still coming that are kept, in case the request must be sent again."""


class Course:
    """What a rule has made of a request, as far as the spine needs to know."""

    __slots__ = ("on_body", "on_request", "on_response", "retry", "rule")

    def __init__(self, rule: HttpRule) -> None:
        self.rule = rule
        self.retry = rule.retry
        """When it is sent again; None for the default."""
        self.on_body: list[Callable[[bytes], None]] = []
        """Told of every payload of a request that is still coming, and of its end by an empty one."""
        self.on_request: list[Callable[[Fields], Fields]] = []
        """What is done to the fields of the request, in this order."""
        self.on_response: list[Callable[[Fields], Fields]] = []
        """What is done to the fields of the answer, in this order; also to those of an answer of the mesh's own."""

    def __repr__(self) -> str:
        return f"<Course {self.rule.origin}>"

    def hear(self, payload: bytes) -> None:
        """Tell of more of the request's body; nothing at its end, which is told once."""
        listeners = tuple(self.on_body)
        if not payload:
            self.on_body.clear()
        for hear in listeners:
            hear(payload)

    def request(self, fields: Fields) -> Fields:
        """The fields of the request, as the rule wants them."""
        for change in self.on_request:
            fields = change(fields)
        return fields

    def respond(self, fields: Fields) -> Fields:
        """The fields of the answer, as the rule wants them."""
        for change in self.on_response:
            fields = change(fields)
        return fields


class Begun:
    """A first try that is under way: the request has gone to the target, and the answer is awaited."""

    __slots__ = ("fields", "target", "up")

    def __init__(self, target: Target, up: Upstream, fields: Fields) -> None:
        self.target = target
        self.up = up
        self.fields = fields
        """As they were sent, for another try."""

    def __repr__(self) -> str:
        return f"<Begun {self.target!r} {self.up!r}>"


class Exchange:
    """One request in flight. Slotted and plain: it lives for milliseconds, thousands of times a second."""

    __slots__ = (
        *("_kept", "answered", "asked", "begun", "body", "cluster", "course", "ended", "head"),
        *("port", "record", "replayable", "sent", "started", "tries", "unsent", "via", "view", "whole"),
    )

    def __init__(
        self, head: RequestHead, record: Record, cluster: Cluster, body: bytes, whole: bool, port: int
    ) -> None:
        self.started = time.monotonic()
        self.asked = 0.0
        """When the latest try had been sent upstream, or as much of it as was there."""
        self.head = head
        """What is sent upstream: as received, until a rule rewrites it."""
        self.record = record
        self.cluster = cluster
        """Where the client sent it, until a rule leads it elsewhere."""
        self.body = body
        """Body payload that came along with the head."""
        self.port = port
        """What is dialled: the port that the client connected to, unless a rule names another."""
        self.course: Course | None = None
        """None where no rule had a say: the usual case."""
        self.whole = whole
        """Whether `body` is all there is, so that it can be sent again."""
        self.ended = whole
        """Whether the client has sent all of the request."""
        self.sent = whole
        """Whether all of it has gone upstream: before that, the connection there can be used for nothing else."""
        self.answered = False
        """Whether bytes of an answer went to the client: after that there is no second answer."""
        self.tries: Tries | None = None
        """What a retry rule or a policy has to say in the matter; None where there is neither: the usual case."""
        self.replayable = True
        """Whether another try could be made: all of the body so far is at hand, and the client has heard nothing."""
        self.via: Downstream | None = None
        """What the client is answered through, where it is not spoken to in the protocol of the call."""
        self.begun: Begun | None = None
        """What the lane has done of it, when it leaves the lane for the structured path."""
        self.unsent = b""
        """What is left of a whole answer that the client did not take at once, when it does so."""
        self.view: View | None = None
        """What filters see of it; None where it meets none: the usual case."""
        self._kept: bytearray | None = None

    def __repr__(self) -> str:
        state = "answered" if self.answered else "unanswered"
        return f"<Exchange {self.head.method.decode('latin-1')} {self.record!r} {state}>"

    def keep(self, payload: bytes) -> None:
        """More of the body has come, and is about to be sent: remember it while another try may need it."""
        kept = self._kept
        if self.answered or len(self.body) + len(kept or b"") + len(payload) > MOST_KEPT:
            self.replayable = False
            self._kept = None
        elif kept is not None:
            kept += payload
        elif self.replayable:
            self._kept = bytearray(payload)

    def rewind(self, trailers: Fields) -> None:
        """Make ready for another try; `trailers` is what has come after the body, if it has."""
        if self._kept is not None:
            self.body += bytes(self._kept)
            self._kept = None
        self.sent = self.whole = self.ended and not trailers
        if self.whole and self.course is not None:
            self.course.hear(b"")  # nobody pumps any more, and so nobody else would say it

    @property
    def authority(self) -> bytes:
        """Whom to name upstream as the one that is asked. HTTP/1.0 need not say it; all others must."""
        return self.head.authority or self.record.destination.service.encode()


class Downstream(Protocol):
    """The caller's end of an exchange. Whatever it sends raises Cut when the caller has gone."""

    @property
    def source(self) -> Peer:
        """Who calls."""
        ...

    @property
    def port(self) -> int:
        """The port that the client connected to, and so the one to dial."""
        ...

    @property
    def peer_address(self) -> bytes:
        """The client's address, as x-forwarded-for has it."""
        ...

    @property
    def peer_text(self) -> str:
        """The same for people."""
        ...

    @property
    def load(self) -> Load:
        """Of the listener that it came through."""
        ...

    @property
    def edge(self) -> Edge | None:
        """What a gateway makes of the request; None at a sidecar."""
        ...

    def introduction(self, version: int) -> bytes:
        """What to say first to a server that is to know who calls it; `version` of the PROXY protocol."""
        ...

    @property
    def filters(self) -> Filters:
        """Those of the mesh, at this moment."""
        ...

    @property
    def hub(self) -> Hub:
        """Whom to tell."""
        ...

    @property
    def reactor(self) -> Reactor:
        """What new connections are to be registered with."""
        ...

    @property
    def why(self) -> Flag:
        """Why the exchange was cancelled, if it was."""
        ...

    @property
    def trailers(self) -> Fields:
        """What came after the request's body."""
        ...

    def cluster(self) -> Cluster:
        """Where the connection is going, by the plan of this moment."""
        ...

    async def read(self, x: Exchange) -> bytes:
        """More of the request's body; nothing at its end. Raises Cut, and Malformed."""
        ...

    async def interim(self, head: ResponseHead) -> None:
        """Pass on a response of class 1xx."""
        ...

    async def respond(self, x: Exchange, head: ResponseHead, fields: Fields, payload: bytes, ended: bool) -> None:
        """Send the response's head, with the first of its body, which is all of it where `ended`."""
        ...

    async def send(self, payload: bytes) -> None:
        """Send more of the response's body."""
        ...

    async def finish(self, trailers: Fields) -> None:
        """End a response whose last payload was not known to be the last."""
        ...

    async def tunnel(self, x: Exchange, up: Upstream, head: ResponseHead, fields: Fields, data: bytes) -> None:
        """Accept an upgrade, and pump until either side ends."""
        ...


class Upstream(Protocol):
    """The callee's end of an exchange."""

    trailers: Fields
    """What came after the response's body."""

    @property
    def wire(self) -> Wire | None:
        """The connection, where it is this exchange's alone: a tunnel may then be pumped past the protocol."""
        ...

    @property
    def reused(self) -> bool:
        """Whether the connection has carried a request before: the callee may have closed it meanwhile."""
        ...

    @property
    def untaken(self) -> bytes:
        """What the callee did not take at once of what it was asked. An answer may come all the same, so that nobody
        waits for this alone."""
        ...

    async def ask(self, x: Exchange, fields: Fields) -> None:
        """Send the request, with as much of its body as is there and is taken at once. Raises Refused, and Broken,
        where nothing of it has gone."""
        ...

    async def send_untaken(self, x: Exchange) -> None:
        """Send the rest of that, before anything else. Raises OSError where the callee wants no more."""
        ...

    async def send(self, payload: bytes) -> None:
        """Send more of the request's body. Raises OSError where the callee wants no more."""
        ...

    async def finish(self, trailers: Fields) -> None:
        """End a request whose last payload was not known to be the last. Raises OSError."""
        ...

    async def answer(self, x: Exchange, down: Downstream) -> tuple[ResponseHead, bytes, bool]:
        """The final response's head, the first of its body, and whether that is all of it.

        Interim responses go to `down`. Raises Broken (nothing came) and Refused (what came is not HTTP).
        """
        ...

    async def read(self) -> bytes:
        """More of the response's body; nothing at its end. Raises Cut."""
        ...

    def abort(self) -> None:
        """Have whoever waits for the callee told that the exchange is lost. Releases nothing."""
        ...

    def release(self, x: Exchange) -> None:
        """The exchange is over, whatever became of it: what can take another is kept, all else given up."""
        ...
