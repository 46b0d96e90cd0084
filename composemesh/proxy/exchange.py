"""What one request carries on its way through the mesh: the one mutable object of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from composemesh.model.flag import Flag
    from composemesh.model.peer import Peer
    from composemesh.model.record import Record
    from composemesh.proxy.cluster import Cluster
    from composemesh.proxy.codec.body import BodyReader
    from composemesh.proxy.codec.parts import RequestHead
    from composemesh.proxy.wire import Reactor, Wire
    from composemesh.telemetry.hub import Hub


class Exchange:
    """One request in flight. Slotted and plain: it lives for milliseconds, thousands of times a second."""

    __slots__ = ("answered", "body", "head", "keep", "reader", "record", "rest")

    def __init__(self, head: RequestHead, record: Record) -> None:
        self.head = head
        self.record = record
        self.body = b""
        """Body payload that came along with the head."""
        self.reader: BodyReader | None = None
        """What is left of the body is read with this. None: `body` is all there is, and can be sent again."""
        self.rest = b""
        """What the client sent after this request: the beginning of the next one."""
        self.answered = False
        """Whether bytes of an answer went to the client: after that there is no second answer."""
        self.keep = head.keep_alive
        """Whether the downstream connection outlives this exchange."""

    def __repr__(self) -> str:
        state = "answered" if self.answered else "unanswered"
        return f"<Exchange {self.head.method.decode('latin-1')} {self.record!r} {state}>"


class Downstream(Protocol):
    """What the spine needs to know of the connection that a request came on."""

    wire: Wire
    reactor: Reactor
    source: Peer
    port: int
    """The port that the client connected to, and so the one to dial."""
    peer_address: bytes
    peer_text: str
    draining: bool
    """Whether this connection is to end with its present exchange."""
    tunnelling: bool
    """Whether it has been upgraded: then an exchange ends when either side closes."""
    why: Flag
    """Why it was cancelled, if it was."""
    hub: Hub

    def cluster(self) -> Cluster:
        """Where the connection is going, by the plan of this moment."""
        ...

    def began(self, now: float) -> None:
        """The client has said all it has to say, and waits."""
        ...

    def ended(self) -> None:
        """The exchange is over."""
        ...
