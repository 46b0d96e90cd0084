"""Just enough HTTP/1.1 for tests: an application that answers, and a client that asks, one request a connection."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import h11
import trio

LARGEST = 1 << 16


@dataclass(frozen=True, slots=True)
class Request:
    """What an application is asked."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lowercase; of several with one name the last."""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """What it answers, or what a client got."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


Application = Callable[[Request], Awaitable[Response]]


async def echo(request: Request) -> Response:
    """Answers with what it was asked, as JSON."""
    said = {"method": request.method, "path": request.path, "headers": dict(request.headers)}
    return Response(200, json.dumps(said).encode(), {"content-type": "application/json"})


async def answer(stream: trio.SocketStream, application: Application) -> None:
    """Serve one connection until the client goes. A handler for trio.serve_listeners; never raises for clients."""
    connection = h11.Connection(h11.SERVER)
    try:
        while connection.states[h11.CLIENT] is not h11.MUST_CLOSE:
            head, body = await _message(stream, connection)
            if not isinstance(head, h11.Request):
                return
            request = Request(head.method.decode(), head.target.decode("latin-1"), _headers(head), body)
            response = await application(request)
            headers = {"content-length": str(len(response.body)), **response.headers}
            sent = h11.Response(status_code=response.status, headers=list(headers.items()))
            await stream.send_all(
                b"".join(
                    connection.send(event) or b""
                    for event in (sent, h11.Data(data=response.body), h11.EndOfMessage())
                )
            )
            if connection.our_state is h11.MUST_CLOSE:
                return
            connection.start_next_cycle()
    except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
        pass
    finally:
        await trio.aclose_forcefully(stream)


async def ask(
    host: str, port: int, path: str, method: str, headers: Mapping[str, str], body: bytes, authority: str
) -> Response:
    """One request over a connection of its own. Raises OSError, and h11.RemoteProtocolError for what is no answer."""
    connection = h11.Connection(h11.CLIENT)
    fields = {"host": authority, "connection": "close", "content-length": str(len(body)), **headers}
    async with await trio.open_tcp_stream(host, port) as stream:
        asked = h11.Request(method=method, target=path, headers=list(fields.items()))
        await stream.send_all(
            b"".join(connection.send(event) or b"" for event in (asked, h11.Data(data=body), h11.EndOfMessage()))
        )
        head, received = await _message(stream, connection)
    if not isinstance(head, h11.Response):
        raise h11.RemoteProtocolError(f"{head!r} is no answer")
    return Response(head.status_code, received, _headers(head))


async def _message(
    stream: trio.SocketStream, connection: h11.Connection
) -> tuple[h11.Request | h11.Response | None, bytes]:
    """The next head, and the whole body that goes with it; no head where the other side has gone."""
    head: h11.Request | h11.Response | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(LARGEST))
        elif isinstance(event, h11.Request | h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed) or event is h11.PAUSED:
            return head, bytes(body)


def _headers(head: h11.Request | h11.Response) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in head.headers}
