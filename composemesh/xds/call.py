"""One request on an HTTP/2 connection, as who answers it sees it: bytes in, bytes out, as the windows allow."""

from __future__ import annotations

from typing import Protocol

import trio

from composemesh.xds import grpc
from composemesh.xds.grpc import Status

CLOSED_WINDOW = 300.0
"""Seconds in which a client must open the window of a call that has something to send."""


class Link(Protocol):
    """What a call needs of its connection (`http2.Connection`)."""

    def acknowledge(self, size: int, number: int) -> None: ...

    def say(self, call: Call, headers: grpc.Headers) -> None: ...

    def put(self, call: Call, data: memoryview) -> int: ...

    def finish(self, call: Call, headers: grpc.Headers | None) -> None: ...

    async def room_for_more(self) -> None: ...


class Call:
    """One request, and the way to answer it."""

    def __init__(self, connection: Link, number: int, headers: grpc.Headers) -> None:
        self.headers = headers
        self.scope = trio.CancelScope()
        """Cancelled when the client gives up, or the connection ends."""
        self.number = number
        self._connection = connection
        self._inbox = bytearray()
        self._unacknowledged = 0
        self._ended = False
        self._arrived = trio.Event()
        self._opened = trio.Event()
        self._begun = False
        self.over = False
        """Whether the answer is complete."""

    def __repr__(self) -> str:
        return f"<Call {self.number} {self.path} inbox={len(self._inbox)}>"

    @property
    def path(self) -> str:
        return self.header(b":path")

    @property
    def method(self) -> str:
        return self.header(b":method")

    def header(self, name: bytes) -> str:
        """The first value of a header; empty where there is none. Whatever bytes it has are characters."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")

    # === told by the connection ===

    def came(self, data: bytes, flow: int) -> None:
        self._inbox += data
        self._unacknowledged += flow
        self._arrived.set()

    def ended(self) -> None:
        self._ended = True
        self._arrived.set()

    def may_send(self) -> None:
        self._opened.set()

    # === asked by who answers ===

    async def receive(self) -> bytes:
        """What has come of the request's body; empty at its end. Safe to cancel."""
        while not self._inbox and not self._ended:
            self._arrived = trio.Event()
            await self._arrived.wait()
        data = bytes(self._inbox)
        self._inbox.clear()
        if self._unacknowledged:
            self._connection.acknowledge(self._unacknowledged, self.number)
            self._unacknowledged = 0
        return data

    def begin(self, headers: grpc.Headers) -> None:
        """Send the head of the answer."""
        self._begun = True
        self._connection.say(self, headers)

    async def send(self, data: bytes) -> None:
        """Send a piece of the answer's body, as windows and socket allow. If cancelled, some of it may have gone.

        Raises trio.TooSlowError for a client that leaves its window closed.
        """
        rest = memoryview(data)
        connection = self._connection
        while rest:
            await connection.room_for_more()
            taken = connection.put(self, rest)
            if taken:
                rest = rest[taken:]
                continue
            self._opened = trio.Event()
            with trio.fail_after(CLOSED_WINDOW):
                await self._opened.wait()

    def finish(self, headers: grpc.Headers | None = None) -> None:
        """End the answer, with trailers if there are any."""
        if not self.over:
            self.over = True
            self._connection.finish(self, headers)

    def fail(self, status: Status, message: str) -> None:
        """End a gRPC call with this status, however far it came."""
        said = grpc.trailers(status, message)
        self.finish(said if self._begun else [*grpc.head(), *said])
