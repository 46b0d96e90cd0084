"""What `receive` tells, in the order in which it happened: plain slotted classes, some of each for every request.

A stream is named by its number. `end` says that the peer sends nothing more on the stream: it stands on whatever
event was the last, so there is none of its own for it. After `StreamReset` a stream is gone.
"""

from __future__ import annotations

from composemesh.proxy.codec.parts import Fields, RequestHead, ResponseHead


class Event:
    """Something the peer did."""

    __slots__: tuple[str, ...] = ()

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({told})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and repr(other) == repr(self)

    __hash__ = None  # type: ignore[assignment]


class RequestOpened(Event):
    """A request's head, at the server."""

    __slots__ = ("end", "head", "stream")

    def __init__(self, stream: int, head: RequestHead, end: bool) -> None:
        self.stream = stream
        self.head = head
        self.end = end


class ResponseHeadCame(Event):
    """A response's head, at the client."""

    __slots__ = ("end", "head", "stream")

    def __init__(self, stream: int, head: ResponseHead, end: bool) -> None:
        self.stream = stream
        self.head = head
        self.end = end


class InterimCame(Event):
    """A 1xx response, at the client. Another head follows."""

    __slots__ = ("head", "stream")

    def __init__(self, stream: int, head: ResponseHead) -> None:
        self.stream = stream
        self.head = head


class BodyCame(Event):
    """A piece of a body; empty where only the end was left to say."""

    __slots__ = ("end", "flow", "payload", "stream")

    def __init__(self, stream: int, payload: bytes, flow: int, end: bool) -> None:
        self.stream = stream
        self.payload = payload
        self.flow = flow
        """Bytes to `acknowledge` once the payload has been passed on: with it, its padding."""
        self.end = end


class Trailers(Event):
    """The fields after a body. They end the stream."""

    __slots__ = ("fields", "stream")

    def __init__(self, stream: int, fields: Fields) -> None:
        self.stream = stream
        self.fields = fields


class StreamReset(Event):
    """A stream that did not come to its end."""

    __slots__ = ("code", "reason", "remote", "stream")

    def __init__(self, stream: int, code: int, remote: bool, reason: str = "") -> None:
        self.stream = stream
        self.code = code
        """See `frames.Code`. REFUSED_STREAM: nothing was done about the request, it may be sent again elsewhere."""
        self.remote = remote
        """Whether the peer reset it. Otherwise the codec did, because of what the peer sent."""
        self.reason = reason
        """Why the codec did, for the log."""


class WindowOpened(Event):
    """There is room for more of the body of one stream, or of all of them (0)."""

    __slots__ = ("stream",)

    def __init__(self, stream: int) -> None:
        self.stream = stream


class SettingsChanged(Event):
    """The peer's settings have come, or new ones."""

    __slots__ = ("connect_protocol", "streams")

    def __init__(self, streams: int, connect_protocol: bool) -> None:
        self.streams = streams
        """How many streams of ours the peer takes at one time."""
        self.connect_protocol = connect_protocol
        """Whether it takes extended CONNECT (RFC 8441)."""


class PingAnswered(Event):
    """The peer lives: it has sent our PING back."""

    __slots__ = ("opaque",)

    def __init__(self, opaque: bytes) -> None:
        self.opaque = opaque


class GoAway(Event):
    """The peer takes no new streams. Those up to `last` go on; for each of ours beyond it a `StreamReset` follows."""

    __slots__ = ("code", "last")

    def __init__(self, code: int, last: int) -> None:
        self.code = code
        self.last = last


class Ended(Event):
    """We ended the connection, because of what the peer did. Send what there is to send, then close. Nothing
    follows, for no stream."""

    __slots__ = ("code", "reason")

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
