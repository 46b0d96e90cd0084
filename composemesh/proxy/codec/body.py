"""Payloads of HTTP/1.1 messages: by length, in chunks, or until the connection ends (RFC 9112, 6.3 and 7.1).

All readers are alike: `feed` takes what was received and gives the payload in it, `done` says that the body has
ended, `rest` is what came after that end, `trailers` the fields between the two.
"""

from __future__ import annotations

from typing import ClassVar, Final

from composemesh.proxy.codec import grammar
from composemesh.proxy.codec.collect import TrailerBuffer
from composemesh.proxy.codec.parts import CHUNKED, LIMITS, NO_FIELDS, Fields, Limits, Malformed

LAST_CHUNK: Final = b"0\r\n\r\n"
"""The end of a chunked body without trailers."""


class LengthBody:
    """A body of a known length."""

    __slots__ = ("done", "left", "rest")

    trailers: ClassVar[Fields] = NO_FIELDS

    def __init__(self, length: int) -> None:
        self.left = length
        """Payload bytes still to come."""
        self.done = length == 0
        self.rest = b""

    def __repr__(self) -> str:
        return f"<LengthBody: {self.left} left>"

    def feed(self, data: bytes) -> bytes:
        """The payload in what was received: `data` itself where all of it is."""
        left = self.left - len(data)
        if left > 0:
            self.left = left
            return data
        if left < 0:
            data, self.rest = data[: self.left], data[self.left :]
        self.left = 0
        self.done = True
        return data


class CloseBody:
    """A body that ends with its connection. Only the caller sees that, so `done` stays False."""

    __slots__ = ("done", "rest")

    trailers: ClassVar[Fields] = NO_FIELDS

    def __init__(self) -> None:
        self.done = False
        self.rest = b""

    def __repr__(self) -> str:
        return "<CloseBody>"

    def feed(self, data: bytes) -> bytes:
        """All of it."""
        return data


class ChunkedBody:
    """A body in chunks. Extensions are checked, then dropped: they were for the last hop only.

    What comes next is always one of three things: payload (`left`), the line before a chunk, or the trailers.
    """

    __slots__ = (
        *("_begun", "_extensions", "_held", "_limits", "_line", "_trailers"),
        *("done", "left", "rest", "trailers"),
    )

    def __init__(self, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._line = grammar.FIRST_CHUNK
        self._begun = grammar.FIRST_CHUNK_BEGUN
        self._held = b""
        """The beginning of such a line."""
        self._extensions = 0
        """Bytes of extensions so far: they are work for us and news for nobody."""
        self._trailers: TrailerBuffer | None = None
        self.left = 0
        """Payload bytes of the current chunk still to come."""
        self.done = False
        self.rest = b""
        self.trailers = NO_FIELDS

    def __repr__(self) -> str:
        state = "done" if self.done else "trailers" if self._trailers else f"{self.left} left of a chunk"
        return f"<ChunkedBody: {state}>"

    def feed(self, data: bytes) -> bytes:
        """The payload in what was received: `data` itself where all of it is. Raises Malformed."""
        if len(data) <= self.left:
            self.left -= len(data)
            return data
        payload: list[bytes] = []
        at = 0
        if self._held:
            data = self._held + data
            self._held = b""
        while self._trailers is None:
            if self.left:
                payload.append(data[at : at + self.left])
                at += self.left
                if at >= len(data):
                    self.left = at - len(data)
                    break
            found = self._line.match(data, at)
            if found is None:
                self.left = 0
                self._hold(data[at:])
                break
            at = found.end()
            self._open(found[1], found[2])
            if not self.left:
                if data.startswith(b"\r\n", at):
                    self.done, self.rest = True, data[at + 2 :]
                    break
                self._trailers = TrailerBuffer(self._limits)
        else:
            self._end(self._trailers, data[at:])
        return payload[0] if len(payload) == 1 else b"".join(payload)

    def _open(self, digits: bytes, extensions: bytes) -> None:
        """Begin a chunk; one of no bytes is the last."""
        if extensions:
            self._extensions += len(extensions)
            if len(extensions) > self._limits.extension or self._extensions > self._limits.extensions:
                raise Malformed(413, "chunk extensions too large")
        self.left = int(digits, 16)
        if self.left > self._limits.body:
            raise Malformed(413, "chunk too large")
        self._line = grammar.NEXT_CHUNK
        self._begun = grammar.NEXT_CHUNK_BEGUN

    def _hold(self, line: bytes) -> None:
        """Keep what may yet become the line before a chunk. Raises Malformed for what cannot."""
        if self._begun.fullmatch(line) is None:
            raise Malformed(400, "invalid chunk size")
        if len(line) > self._limits.extension + _SIZE:
            raise Malformed(413, "chunk extensions too large")
        self._held = line

    def _end(self, trailers: TrailerBuffer, data: bytes) -> None:
        """Take the trailers. What frames or routes a message may not come after it (RFC 9110, 6.5.1)."""
        if trailers.feed(data):
            fields: Fields = grammar.SPLIT.findall(trailers.head, len(b"\r\n"))
            if not _FORBIDDEN.isdisjoint(name.lower() for name, _ in fields):
                raise Malformed(400, "framing or Host among the trailers")
            self.done, self.rest, self.trailers = True, trailers.rest, fields


_SIZE: Final = len(b"\r\n") + 16 + len(b"\r\n")
_FORBIDDEN: Final = frozenset({b"transfer-encoding", b"content-length", b"host", b"trailer"})

BodyReader = LengthBody | ChunkedBody | CloseBody


def body_reader(body: int, limits: Limits = LIMITS) -> BodyReader:
    """The reader for what a head says in `body`."""
    if body >= 0:
        return LengthBody(body)
    return ChunkedBody(limits) if body == CHUNKED else CloseBody()


def encode_chunk(payload: bytes) -> bytes:
    """One chunk. Of nothing, nothing: an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""


def encode_end(trailers: Fields) -> bytes:
    """The end of a chunked body. The fields are written as they are: only what was parsed may come here."""
    return b"".join([b"0\r\n", *(b"%b: %b\r\n" % field for field in trailers), b"\r\n"])
