"""One keep-alive connection to a Docker engine, and what can be wrong with it in one clear line each."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

import h11
import trio

READ_SIZE = 65536


class EngineUnreachable(Exception):
    """No usable answer from the engine. The message is one line that says what to do."""


class EngineSilent(EngineUnreachable):
    """The engine took too long over one answer; it may be well otherwise."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the engine listens, in the spelling of DOCKER_HOST."""

    text: str
    path: str = ""
    """Of the Unix socket; empty for TCP."""
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `unix:///path` or `tcp://host:port`. Raises EngineUnreachable for anything else."""
        try:
            parts = urlsplit(text)
            port = parts.port or 2375
        except ValueError:
            raise EngineUnreachable(
                f"{text!r} does not name a Docker engine: write unix:///path or tcp://host:port."
            ) from None
        if parts.scheme == "unix" and parts.path:
            return cls(text, path=parts.netloc + parts.path)
        if parts.scheme in ("tcp", "http") and parts.hostname:
            return cls(text, host=parts.hostname, port=port)
        raise EngineUnreachable(
            f"{text!r} names a Docker engine that cannot be spoken to: use unix:///path or tcp://host:port."
        )

    async def dial(self) -> trio.abc.Stream:
        """Connect. Raises EngineUnreachable; leaves nothing open when cancelled."""
        try:
            if self.path:
                return await trio.open_unix_socket(self.path)
            return await trio.open_tcp_stream(self.host, self.port)
        except OSError as problem:
            raise EngineUnreachable(self.explain(problem)) from problem

    def explain(self, problem: OSError) -> str:
        """Why connecting failed, and what to do about it, in one line."""
        if not self.path:
            return (
                f"Nothing answers at {self.text} ({_reason(problem)}): check DOCKER_HOST, and that the engine runs."
            )
        match problem.errno:
            case errno.ENOENT:
                return f"Docker's socket {self.path} does not exist: start Docker, or name its socket in DOCKER_HOST."
            case errno.EACCES | errno.EPERM:
                return f"No permission to use Docker's socket {self.path}: run as root or join the group `docker`."
            case errno.ECONNREFUSED:
                return f"No engine listens at Docker's socket {self.path}: start Docker."
        return f"Docker's socket {self.path} cannot be used ({_reason(problem)}): start Docker, or set DOCKER_HOST."

    @property
    def authority(self) -> str:
        """What the Host header says: the engine checks its form only."""
        if self.path:
            return "docker"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _reason(problem: OSError) -> str:
    return (problem.strerror or str(problem) or type(problem).__name__).lower()


class Connection:
    """A request at a time. After any exception, cancellation included, it is fit for nothing but `close`."""

    def __init__(self, endpoint: Endpoint, stream: trio.abc.Stream) -> None:
        self._endpoint = endpoint
        self._stream = stream
        self._h11 = h11.Connection(h11.CLIENT)
        self.answering = False
        """Whether the engine sent anything in answer to the last request: if not, it may be asked again elsewhere."""

    def __repr__(self) -> str:
        return f"<Connection {self._endpoint.text} {self._h11.our_state}>"

    async def ask(self, target: str) -> h11.Response:
        """Send a GET; return the response's head. Raises EngineUnreachable."""
        self.answering = False
        request = h11.Request(
            method="GET", target=target, headers=[("Host", self._endpoint.authority), ("User-Agent", "composemesh")]
        )
        wire = (self._h11.send(request) or b"") + (self._h11.send(h11.EndOfMessage()) or b"")
        try:
            await self._stream.send_all(wire)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as problem:
            raise self._closed() from problem
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Response):
                return event

    async def data(self) -> bytes:
        """The next piece of the body; empty at its end. Raises EngineUnreachable when it is cut short."""
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Data):
                return bytes(event.data)
            if isinstance(event, h11.EndOfMessage):
                return b""

    def reusable(self) -> bool:
        """Make ready for the next request; false where the engine wants this connection closed."""
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return True

    async def close(self) -> None:
        """Close without a farewell: nothing is owed to the engine."""
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(self._stream)

    async def _next_event(self) -> h11.Event:
        in_head = self._h11.their_state is h11.SEND_RESPONSE
        received = b"unasked"
        try:
            while (event := self._h11.next_event()) is h11.NEED_DATA:
                received = bytes(await self._stream.receive_some(READ_SIZE))
                self.answering = self.answering or bool(received)
                self._h11.receive_data(received)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as problem:
            raise self._closed() from problem
        except h11.RemoteProtocolError as problem:
            unread = self._h11.trailing_data[0]
            if not received and (not in_head or b"HTTP/".startswith(unread[:5])):
                raise self._closed() from problem
            raise EngineUnreachable(
                f"What answers at {self._endpoint.text} is no Docker engine ({problem}): check DOCKER_HOST."
            ) from problem
        if isinstance(event, (type, h11.ConnectionClosed)):
            raise self._closed()
        return event

    def _closed(self) -> EngineUnreachable:
        return EngineUnreachable(f"Docker at {self._endpoint.text} closed the connection: it may be restarting.")
