"""gRPC's framing over HTTP/2, without a socket: heads, messages, statuses (gRPC's PROTOCOL-HTTP2 document)."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator

MOST_BYTES = 4 << 20
"""Of one message (gRPC's own default). One that names twenty thousand resources has less."""
PREFIX = 5
"""Bytes before each message: whether it is compressed, and its size."""
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])", re.ASCII)
_PLAIN = frozenset(range(0x20, 0x7F)) - {ord("%")}

Headers = list[tuple[bytes, bytes]]


class Status(enum.IntEnum):
    """The few of gRPC's statuses that we end calls with."""

    OK = 0
    INVALID_ARGUMENT = 3
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


class RpcError(Exception):
    """A call ends with this status; the client is told the message."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Messages:
    """The messages in the bytes of one direction of a call.

    Feed what comes; iterating yields every message that is complete. Raises RpcError for one that is too large, which
    its first five bytes tell, and for a compressed one: we announce no compression.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._data = bytearray()

    def __repr__(self) -> str:
        return f"<Messages {len(self._data)} bytes of {self.missing + len(self._data)}>"

    def __len__(self) -> int:
        """Bytes of what has begun and is not complete."""
        return len(self._data)

    def feed(self, data: bytes) -> None:
        self._data += data

    @property
    def missing(self) -> int:
        """Bytes until the next message is complete, at least."""
        if len(self._data) < PREFIX:
            return PREFIX - len(self._data)
        return PREFIX + int.from_bytes(self._data[1:PREFIX], "big") - len(self._data)

    def __iter__(self) -> Iterator[bytes]:
        while len(self._data) >= PREFIX:
            size = int.from_bytes(self._data[1:PREFIX], "big")
            if self._data[0]:
                raise RpcError(Status.UNIMPLEMENTED, "compressed messages are not taken: send them as they are")
            if size > self._most:
                raise RpcError(Status.RESOURCE_EXHAUSTED, f"a message of {size} bytes is more than {self._most}")
            if len(self._data) < PREFIX + size:
                return
            message = bytes(self._data[PREFIX : PREFIX + size])
            del self._data[: PREFIX + size]
            yield message


def framed(message: bytes) -> bytes:
    """A message as it goes into DATA frames."""
    return b"\x00" + len(message).to_bytes(4, "big") + message


def is_grpc(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request is a gRPC call: its content type says so."""
    kinds = [value for name, value in headers if name == b"content-type"]
    return len(kinds) == 1 and (kinds[0] == b"application/grpc" or kinds[0].startswith(b"application/grpc+"))


def deadline(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    """Seconds that the client gives the call (`grpc-timeout`); None without a limit. Raises RpcError."""
    for name, value in headers:
        if name == b"grpc-timeout":
            said = _TIMEOUT.fullmatch(value.decode("latin-1"))
            if said is None:
                raise RpcError(Status.INVALID_ARGUMENT, "grpc-timeout is at most eight digits and a unit")
            return int(said[1]) * _UNITS[said[2]]
    return None


def head() -> Headers:
    """What goes before the first message."""
    return [(b":status", b"200"), (b"content-type", b"application/grpc")]


def trailers(status: Status, message: str = "") -> Headers:
    """What goes after the last message; with `head()` before them, the whole answer to a call that has none."""
    said = [(b"grpc-status", b"%d" % status)]
    return [*said, (b"grpc-message", _percent(message))] if message else said


def _percent(text: str) -> bytes:
    return b"".join(b"%c" % byte if byte in _PLAIN else b"%%%02X" % byte for byte in text.encode())
