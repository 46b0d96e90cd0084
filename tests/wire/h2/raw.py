"""Frames by hand, right or wrong, and the server under test: it answers every request with `BODY`."""

from __future__ import annotations

import struct

from hpack import Encoder

from composemesh.proxy.codec.h2 import (
    H2_LIMITS,
    BodyCame,
    Event,
    Gone,
    H2Limits,
    RequestOpened,
    ServerConnection,
    Trailers,
    WindowOpened,
)
from composemesh.proxy.codec.h2.frames import PREFACE

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, HAS_PRIORITY = 1, 1, 4, 8, 32
BODY = b"answered"

Frame = tuple[int, int, int, bytes]
"""Type, flags, stream, payload: what the server said."""


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"", *, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    return struct.pack(">HBBBL", size >> 8, size & 255, kind, flags, stream) + payload


REQUEST = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"reviews:9080")]
POST = [(b":method", b"POST"), *REQUEST[1:]]


def block(fields: list[tuple[bytes, bytes]], huffman: bool = False) -> bytes:
    """Fields spelled out, so that a block says the same wherever it stands."""
    coder = Encoder()
    return b"".join(coder.add(field, sensitive=True, huffman=huffman) for field in fields)


def headers(
    stream: int, fields: list[tuple[bytes, bytes]] = REQUEST, flags: int = END_STREAM | END_HEADERS, raw: bytes = b""
) -> bytes:
    return frame(HEADERS, flags, stream, raw or block(fields))


def settings(*pairs: tuple[int, int], flags: int = 0, stream: int = 0) -> bytes:
    return frame(SETTINGS, flags, stream, b"".join(struct.pack(">HL", *pair) for pair in pairs))


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">L", increment))


def rst(stream: int, code: int = 8) -> bytes:
    return frame(RST_STREAM, 0, stream, struct.pack(">L", code))


def priority(stream: int, on: int = 0, weight: int = 15) -> bytes:
    return frame(PRIORITY, 0, stream, struct.pack(">LB", on, weight))


def parse(data: bytes) -> list[Frame]:
    """The frames in what the server sent."""
    said = []
    while data:
        high, low, kind, flags, stream = struct.unpack_from(">HBBBL", data)
        end = 9 + (high << 8 | low)
        said.append((kind, flags, stream, data[9:end]))
        data = data[end:]
    return said


class Server:
    """A server that answers a request when all of it has come, as far as the windows let it."""

    def __init__(
        self, limits: H2Limits = H2_LIMITS, *, greet: bool = True, answers: bool = True, body: bytes = BODY
    ) -> None:
        self.connection = ServerConnection(limits)
        self.answers = answers
        self.body = body
        self._unanswered: list[int] = []
        self.events: list[Event] = []
        self.said: list[Frame] = []
        self._bodies: dict[int, bytes] = {}
        if greet:
            self.hear(PREFACE + settings() + settings(flags=ACK))
            self.said.clear()
            self.events.clear()

    def hear(self, data: bytes) -> list[Frame]:
        """What it answers to these bytes. What it ever said is in `said`."""
        events = self.connection.receive(data)
        self.events += events
        for event in events:
            if isinstance(event, BodyCame):
                self.connection.acknowledge(event.stream, event.flow)
            if isinstance(event, Trailers) or (isinstance(event, RequestOpened | BodyCame) and event.end):
                self._unanswered.append(event.stream)
            elif isinstance(event, WindowOpened):
                for stream in [*self._bodies] if not event.stream else [event.stream]:
                    self._go_on(stream)
        while self.answers and self._unanswered:
            self._answer(self._unanswered.pop(0))
        said = parse(self.connection.data_to_send())
        self.said += said
        return said

    def _answer(self, stream: int) -> None:
        try:
            self.connection.send_head(stream, 200, [(b"content-length", b"%d" % len(self.body))])
        except Gone:
            return
        self._bodies[stream] = self.body
        self._go_on(stream)

    def _go_on(self, stream: int) -> None:
        body = self._bodies.pop(stream, b"")
        if body:
            try:
                sent = self.connection.send_data(stream, body, True)
            except Gone:
                return
            if sent < len(body):
                self._bodies[stream] = body[sent:]

    @property
    def requests(self) -> list[RequestOpened]:
        return [event for event in self.events if isinstance(event, RequestOpened)]

    def bodies(self, stream: int) -> bytes:
        """What it sent of a body."""
        return b"".join(payload for kind, _, of, payload in self.said if kind == DATA and of == stream)

    def answered(self, stream: int) -> bool:
        """Whether the whole of the answer has been sent."""
        return self.bodies(stream) == self.body

    def goaway(self) -> int | None:
        """The code with which it ended the connection, if it did."""
        codes = [int.from_bytes(payload[4:8], "big") for kind, _, _, payload in self.said if kind == GOAWAY]
        return codes[-1] if codes else None

    def resets(self) -> dict[int, int]:
        """Stream → code of the resets that it sent."""
        return {of: int.from_bytes(payload, "big") for kind, _, of, payload in self.said if kind == RST_STREAM}
