"""HTTP/2 as other people speak it: the `h2` library on a trio stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import h2.config
import h2.connection
import h2.events
import trio
from h2.settings import SettingCodes

EventT = TypeVar("EventT", bound=h2.events.Event)


class Peer:
    """A plain h2 connection over a trio stream, for both sides of a conversation."""

    def __init__(self, stream: trio.abc.Stream, *, client: bool) -> None:
        self.stream = stream
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=client, header_encoding=None))
        self.h2.initiate_connection()
        self.events: list[h2.events.Event] = []

    async def flush(self) -> None:
        await self.stream.send_all(self.h2.data_to_send())

    async def next(self, kind: type[EventT]) -> EventT:
        """The next event of a kind; those before it are answered and forgotten."""
        with trio.fail_after(5):
            while True:
                while self.events:
                    event = self.events.pop(0)
                    if isinstance(event, h2.events.DataReceived):
                        self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                        await self.flush()
                    if isinstance(event, kind):
                        return event
                data = await self.stream.receive_some()
                assert data, f"closed while {kind.__name__} was awaited"
                self.events += self.h2.receive_data(data)
                await self.flush()

    def request(self, path: bytes, method: bytes = b"GET", *, end: bool = True) -> int:
        number = self.h2.get_next_available_stream_id()
        head = [(b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", b"app:8080")]
        self.h2.send_headers(number, head, end_stream=end)
        return number

    def ask(self, *fields: tuple[bytes, bytes], end: bool = True, **pseudo: bytes) -> int:
        """A request in the fields' own words; pseudo-fields by their names, GET / of app:8080 where unsaid."""
        number = self.h2.get_next_available_stream_id()
        said = {"method": b"GET", "scheme": b"http", "path": b"/", "authority": b"app:8080"} | pseudo
        head = [(b":" + name.encode(), value) for name, value in said.items()]
        self.h2.send_headers(number, [*head, *fields], end_stream=end)
        return number

    async def answer(self) -> tuple[dict[bytes, bytes], bytes, dict[bytes, bytes]]:
        """The one response under way, to its end: head, body, trailers."""
        head = dict((await self.next(h2.events.ResponseReceived)).headers or ())
        body = b""
        trailers: dict[bytes, bytes] = {}
        while True:
            event = await self.next(h2.events.Event)
            if isinstance(event, h2.events.DataReceived):
                body += event.data
            elif isinstance(event, h2.events.TrailersReceived):
                trailers = dict(event.headers)
            elif isinstance(event, h2.events.StreamEnded):
                return head, body, trailers


Request = h2.events.RequestReceived


def serving(
    answer: Callable[[Peer, Request], Awaitable[object]], settings: Mapping[SettingCodes, int] | None = None
) -> Callable[[trio.abc.Stream], Awaitable[None]]:
    """An application that speaks HTTP/2, and does as it is told with each request."""

    async def handle(stream: trio.abc.Stream) -> None:
        peer = Peer(stream, client=False)
        peer.h2.update_settings(dict[SettingCodes | int, int]((settings or {}).items()))
        await peer.flush()
        while True:
            try:
                event = await peer.next(Request)
            except (AssertionError, trio.TooSlowError):
                return
            await answer(peer, event)
            await peer.flush()

    return handle
