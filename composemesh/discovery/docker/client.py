"""What the mesh asks of a Docker engine: GET and nothing else, over a few connections that stay open."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self
from urllib.parse import quote, urlencode

import trio

from composemesh.discovery.docker.connection import Connection, Endpoint, EngineSilent, EngineUnreachable

__all__ = ["DEFAULT_ENDPOINT", "DockerClient", "EngineError", "EngineSilent", "EngineUnreachable", "EventStream"]

DEFAULT_ENDPOINT = "unix:///var/run/docker.sock"
KNOWN_API = (1, 51)
"""The newest API version whose answers we know how to read. The fields we use exist since 1.24."""
ANSWER_LIMIT = 64 * 1024 * 1024
"""Bytes of one answer. A list of 1,000 containers takes about 2 MB; labels may be large, not endless."""
EVENT_LIMIT = 1024 * 1024
"""Bytes of one event. It repeats every label of its container, so an image can make it long."""
CONNECTIONS = 8
"""Questions under way at once: the engine answers inspects in parallel, and no faster with more than this."""

_API_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")


class EngineError(Exception):
    """The engine understood, and refused: its status and its own message, in one line."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"Docker answered {status}: {message}.")
        self.status = status
        self.message = message


class DockerClient:
    """An engine, by its endpoint: `unix:///var/run/docker.sock` or `tcp://host:port`.

    Raises EngineUnreachable at once for an endpoint of another kind. Opens nothing before the first question.
    """

    def __init__(self, endpoint: str = DEFAULT_ENDPOINT, *, timeout: float = 10.0) -> None:
        self.endpoint = Endpoint.parse(endpoint)
        self.timeout = timeout
        """Seconds for one answer, connecting included; an event stream has them for its head only."""
        self._version = ""
        self._idle: list[Connection] = []
        self._places = trio.CapacityLimiter(CONNECTIONS)

    def __repr__(self) -> str:
        return f"<DockerClient {self.endpoint.text} API {self._version or 'unknown'} {len(self._idle)} idle>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *reason: object) -> None:
        await self.aclose()

    async def negotiate(self) -> str:
        """Agree on an API version with the engine (GET /version) and return it, e.g. ``1.41``.

        Done before the first question, and again by whoever has reason to believe that the engine was replaced.
        Raises EngineUnreachable, EngineError.
        """
        self._version = ""
        offer = await self._get("/version")
        if not isinstance(offer, dict):
            raise self._not_an_engine("its version is no JSON object")
        self._version = _agree(offer.get("ApiVersion"), offer.get("MinAPIVersion"))
        return self._version

    async def get(self, *path: str, **query: str) -> Any:
        """Ask `GET /v<version>/<path…>`; return its JSON. Each part of the path is quoted, slashes too.

        Raises EngineUnreachable, EngineError. Cancelled, it closes the connection that it used.
        """
        return await self._get(await self._target(path, query))

    @asynccontextmanager
    async def events(
        self, *, filters: Mapping[str, Sequence[str]] | None = None, since: str = ""
    ) -> AsyncIterator[EventStream]:
        """Subscribe to the engine's events (Docker API, GET /events). Entered once the engine has subscribed us:
        whatever happens from then on is told. Raises EngineUnreachable, EngineError; closes its connection.
        """
        query = {"filters": json.dumps(filters)} if filters else {}
        if since:
            query["since"] = since
        connection = await self._subscribe(await self._target(("events",), query))
        try:
            yield EventStream(connection)
        finally:
            await connection.close()

    async def aclose(self) -> None:
        """Close the connections kept for later. The client stays usable."""
        while self._idle:
            await self._idle.pop().close()

    async def _target(self, path: Sequence[str], query: Mapping[str, str]) -> str:
        version = self._version or await self.negotiate()
        target = "/".join((f"/v{version}", *(quote(part, safe="") for part in path)))
        return f"{target}?{urlencode(query)}" if query else target

    async def _get(self, target: str) -> Any:
        async with self._places:
            with self._deadline():
                status, body = await self._exchange(target)
        if status != 200:
            raise EngineError(status, _message(body))
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as problem:
            raise self._not_an_engine("its answer is no JSON") from problem

    async def _subscribe(self, target: str) -> Connection:
        with self._deadline():
            connection = Connection(self.endpoint, await self.endpoint.dial())
            try:
                head = await connection.ask(target)
                if head.status_code != 200:
                    raise EngineError(head.status_code, _message(await self._body(connection)))
            except BaseException:
                await connection.close()
                raise
            return connection

    async def _exchange(self, target: str) -> tuple[int, bytes]:
        """Ask over an idle connection, or a new one where the engine has closed the idle one meanwhile."""
        while self._idle:
            connection = self._idle.pop()
            try:
                return await self._ask(connection, target)
            except EngineUnreachable:
                if connection.answering:
                    raise
        return await self._ask(Connection(self.endpoint, await self.endpoint.dial()), target)

    async def _ask(self, connection: Connection, target: str) -> tuple[int, bytes]:
        try:
            head = await connection.ask(target)
            body = await self._body(connection)
        except BaseException:
            await connection.close()
            raise
        if connection.reusable():
            self._idle.append(connection)
        else:
            await connection.close()
        return head.status_code, body

    async def _body(self, connection: Connection) -> bytes:
        body = bytearray()
        while piece := await connection.data():
            body += piece
            if len(body) > ANSWER_LIMIT:
                raise self._not_an_engine(f"its answer is longer than {ANSWER_LIMIT >> 20} MiB")
        return bytes(body)

    @contextmanager
    def _deadline(self) -> Iterator[None]:
        try:
            with trio.fail_after(self.timeout):
                yield
        except trio.TooSlowError:
            raise EngineSilent(
                f"Docker at {self.endpoint.text} did not answer within {self.timeout:g} s: "
                "see whether `docker info` hangs too."
            ) from None

    def _not_an_engine(self, reason: str) -> EngineUnreachable:
        return EngineUnreachable(
            f"What answers at {self.endpoint.text} is no Docker engine ({reason}): check DOCKER_HOST."
        )


class EventStream:
    """The engine's events as they come, one dict each; ends when the engine closes the stream.

    An event that is too long or no JSON object comes as an empty dict: something happened, and nobody knows what.
    Raises EngineUnreachable where the connection breaks.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._line = bytearray()
        self._overlong = False
        self._ready: deque[dict[str, Any]] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        while not self._ready:
            piece = await self._connection.data()
            if not piece:
                raise StopAsyncIteration
            self._split(piece)
        return self._ready.popleft()

    def _split(self, piece: bytes) -> None:
        """One event a line; a line comes in any number of pieces, and its end is what completes it."""
        rest, *others = piece.split(b"\n")
        self._grow(rest)
        for rest in others:
            if self._overlong or self._line.strip():
                self._ready.append({} if self._overlong else _event(self._line))
            self._line.clear()
            self._overlong = False
            self._grow(rest)

    def _grow(self, part: bytes) -> None:
        self._overlong = self._overlong or len(self._line) + len(part) > EVENT_LIMIT
        if self._overlong:
            self._line.clear()
        else:
            self._line += part


def _event(line: bytearray) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _agree(newest: object, oldest: object) -> str:
    """The newest version that both sides know; an engine that is newer than we are gets its own oldest."""
    offered = _version(newest) or KNOWN_API
    agreed = max(min(offered, KNOWN_API), _version(oldest) or (0, 0))
    return f"{agreed[0]}.{agreed[1]}"


def _version(text: object) -> tuple[int, int] | None:
    found = _API_VERSION.fullmatch(text) if isinstance(text, str) else None
    return (int(found[1]), int(found[2])) if found else None


def _message(body: bytes) -> str:
    """The engine's own sentence in one printable line: it may quote what a container's owner wrote."""
    try:
        said = json.loads(body)
        text = said["message"] if isinstance(said, dict) else body.decode("utf-8", "replace")
    except (ValueError, RecursionError, KeyError):
        text = body.decode("utf-8", "replace")
    return "".join(char if char.isprintable() else " " for char in str(text)[:300]).strip() or "no reason given"
