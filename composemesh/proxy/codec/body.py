"""Payloads of HTTP/1.1 messages: by length, in chunks, or until the connection ends (RFC 9112, 6.3 and 7.1)."""

from __future__ import annotations

from composemesh.proxy.codec import grammar
from composemesh.proxy.codec.parts import CHUNKED, LIMITS, UNTIL_CLOSE, Limits, Malformed

LAST_CHUNK = b"0\r\n\r\n"


class LengthBody:
    """A body of a known length."""

    __slots__ = ("done", "left", "rest")

    def __init__(self, length: int) -> None:
        self.left = length
        """Payload bytes still to come."""
        self.done = length == 0
        self.rest = b""
        """Bytes that follow the end of the body."""

    def feed(self, data: bytes) -> bytes:
        """The payload in what was received: `data` itself where all of it is."""
        left = self.left - len(data)
        if left > 0:
            self.left = left
            return data
        self.done = True
        if left:
            end = self.left
            data, self.rest = data[:end], data[end:]
        self.left = 0
        return data


class CloseBody:
    """A body that ends with its connection; the caller sees that end, so `done` stays False."""

    __slots__ = ("done", "rest")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        return data


class ChunkedBody:
    """A body in chunks. Extensions and trailers are checked and dropped: no hop after us needs to parse them."""

    __slots__ = ("_extensions", "_held", "_last", "_limits", "done", "left", "rest")

    def __init__(self, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._held = b""
        """A line, or the trailers, of which the end has not come."""
        self._extensions = 0
        self._last = False
        """Whether the last chunk has been seen: only trailers follow."""
        self.left = 0
        """Bytes of the current chunk still to come, its CRLF included."""
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """The payload in what was received: `data` itself where all of it is. Raises Malformed."""
        left = self.left
        if left > len(data) + 1:
            self.left = left - len(data)
            return data
        if self._held:
            data, self._held = self._held + data, b""
        size = len(data)
        at = 0
        payload = []
        while not self._last:
            if left:
                if left > 2:
                    end = at + left - 2
                    payload.append(data[at:end])
                    if end >= size:
                        left = end - size + 2
                        at = size
                        break
                    at, left = end, 2
                if data[at : at + 2] != b"\r\n"[2 - left :][: size - at]:
                    raise Malformed(400, "no CRLF after a chunk")
                took = min(left, size - at)
                at += took
                left -= took
                if left:
                    break
            found = _size_line(data, at)
            if found is None:
                self._hold(data, at)
                break
            digits, extension = found.groups()
            if extension:
                self._count(extension)
            length = int(digits, 16)
            if length > self._limits.body:
                raise Malformed(413, "chunk too large")
            at = found.end()
            if length:
                left = length + 2
            else:
                self._last = True
        self.left = left
        if self._last and not self.done:
            self._trailers(data, at)
        return payload[0] if len(payload) == 1 else b"".join(payload)

    def _count(self, extension: bytes) -> None:
        self._extensions += len(extension)
        if len(extension) > self._limits.extension or self._extensions > self._limits.extensions:
            raise Malformed(413, "chunk extensions too large")

    def _hold(self, data: bytes, at: int) -> None:
        """Keep the beginning of a size line; refuse one that is whole, or too long, and did not match."""
        held = data[at:]
        if b"\n" in held or len(held) > self._limits.extension + 20:
            raise Malformed(400, "invalid chunk size")
        self._held = held

    def _trailers(self, data: bytes, at: int) -> None:
        if data.startswith(b"\r\n", at):
            end = at
        else:
            found = data.find(b"\r\n\r\n", at)
            if found < 0 and len(data) - at <= self._limits.trailers:
                self._held = data[at:]
                return
            end = found + 2
            if found < 0 or end - at > self._limits.trailers:
                raise Malformed(431, "trailers too large")
            if grammar.FIELDS.fullmatch(data, at, end) is None:
                raise Malformed(400, "invalid trailers")
        self.done = True
        self.rest = data[end + 2 :]


_size_line = grammar.SIZE_LINE.match

BodyReader = LengthBody | ChunkedBody | CloseBody


def body_reader(body: int, limits: Limits = LIMITS) -> BodyReader:
    """The reader for what a head says in `body`."""
    if body >= 0:
        return LengthBody(body)
    if body == CHUNKED:
        return ChunkedBody(limits)
    assert body == UNTIL_CLOSE
    return CloseBody()


def encode_chunk(payload: bytes) -> bytes:
    """One chunk. Of nothing, nothing: an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""
