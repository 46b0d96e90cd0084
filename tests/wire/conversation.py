"""One side of a connection, read as the proxy reads it: heads whole where they come whole, else by HeadBuffer."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from composemesh.proxy.codec.body import CloseBody, body_reader
from composemesh.proxy.codec.h1 import HeadBuffer, parse_request, parse_response
from composemesh.proxy.codec.parts import Malformed, RequestHead, ResponseHead


class Ended(enum.Enum):
    IDLE = "all of it was messages"
    CLOSED = "the last message was the connection's last"
    TUNNEL = "the rest is no longer HTTP"
    UNTIL_CLOSE = "in a body that ends with the connection"
    WAIT = "in the middle of a message"
    REFUSED = "refused"


@dataclass(slots=True)
class Heard:
    """What was understood, and how it ended."""

    ended: Ended = Ended.IDLE
    status: int = 0
    why: str = ""
    messages: list[tuple[RequestHead | ResponseHead, bytes]] = field(default_factory=list)
    """Whole messages: head and payload."""
    consumed: int = 0
    """Bytes of whole messages."""

    def __str__(self) -> str:
        return f"{len(self.messages)} served, then {self.why or self.ended.value}"

    @property
    def gist(self) -> object:
        """What may not depend on how the bytes were cut."""
        parts = [(repr(head), head.fields, payload) for head, payload in self.messages]
        return self.ended, parts

    def refuse(self, status: int, why: str) -> Heard:
        self.ended, self.status, self.why = Ended.REFUSED, status, why
        return self


def bytewise(raw: bytes) -> Iterable[bytes]:
    return (raw[at : at + 1] for at in range(len(raw)))


def hear_requests(pieces: Iterable[bytes], *, at_most: int = 10_000) -> Heard:
    """Read a client's bytes."""
    return _hear(pieces, None, at_most)


def hear_response(
    pieces: Iterable[bytes], method: bytes = b"GET", asked: bytes = b"", *, closed: bool = False
) -> Heard:
    """Read an upstream's bytes up to the end of its final response; more is surplus, and never looked at.

    `asked` is the upgrade that was asked for: a 101 to anything else is refused, by the proxy and so here.
    """
    heard = _hear(pieces, method, 1)
    for head, _ in heard.messages:
        if head.upgrade != asked:
            return heard.refuse(400, "101 that nobody asked for")
    if closed and not heard.messages and heard.ended in (Ended.WAIT, Ended.IDLE):
        return heard.refuse(400, "the connection ended before the response did")
    return heard


def _hear(pieces: Iterable[bytes], method: bytes | None, at_most: int) -> Heard:
    heard = Heard()
    try:
        _listen(heard, iter(pieces), method, at_most)
    except Malformed as malformed:
        heard.refuse(malformed.status, malformed.reason)
    return heard


def _listen(heard: Heard, pieces: Iterator[bytes], method: bytes | None, at_most: int) -> None:
    held: HeadBuffer | None = None
    body = None
    data = b""
    received = 0
    while len(heard.messages) < at_most:
        if not data:
            data = next(pieces, b"")
            received += len(data)
            if not data:
                break
        if body is None:
            end = data.find(b"\r\n\r\n") if held is None else -1
            if end >= 0:
                raw, data = data[: end + 4], data[end + 4 :]
            else:
                held = held or HeadBuffer(response=method is not None)
                if not held.feed(data):
                    data = b""
                    continue
                raw, data, held = held.head, held.rest, None
            head = parse_request(raw) if method is None else parse_response(raw, method)
            if isinstance(head, ResponseHead) and head.status < 200 and head.status != 101:
                continue
            body = body_reader(head.body)
            payload = b""
        if data:
            payload += body.feed(data)
            data = body.rest
        if body.done:
            heard.messages.append((head, payload))
            heard.consumed = received - len(data)
            body = None
            if head.upgrade or (isinstance(head, RequestHead) and head.is_connect):
                heard.ended = Ended.TUNNEL
                return
            if not head.keep_alive:
                heard.ended = Ended.CLOSED
                return
    if isinstance(body, CloseBody):
        heard.ended = Ended.UNTIL_CLOSE
        heard.messages.append((head, payload))
        heard.consumed = received
    elif body is not None or held is not None:
        heard.ended = Ended.WAIT
