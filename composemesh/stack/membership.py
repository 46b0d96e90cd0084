"""A process of this host in a running mesh: it joins over the mesh's Unix socket, and stays on that connection."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import h11
import trio

from composemesh.runtime.unix import address_of
from composemesh.stack.errors import UserError

PIECE = 64 * 1024
ENDED = "The mesh has ended while it was asked: say this again."


@dataclass(frozen=True, slots=True)
class Joining:
    """What a process says of itself."""

    name: str
    port: int
    version: str = ""
    pid: int = 0
    calls: Mapping[str, int] = field(default_factory=dict)
    """Services, and their ports, that it will call, whether or not they are known."""


class Door(NamedTuple):
    """Where it finds one port of a service."""

    service: str
    port: int
    address: str
    at: int
    """The port of the address; another than the service's where that is taken on this host."""


class Membership:
    """The connection. It ends with the process on either side."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=PIECE)
        self._text = ""

    async def ask(self, joining: Joining) -> tuple[Door, ...]:
        """Join; where everything is found. Raises UserError with the mesh's reason where it says no."""
        body = json.dumps(asdict(joining)).encode()
        head = h11.Request(
            method="POST",
            target="/api/v1/processes",
            headers=[("host", "localhost"), ("content-length", str(len(body)))],
        )
        sent = [head, h11.Data(data=body), h11.EndOfMessage()]
        try:
            await self._stream.send_all(b"".join(self._http.send(event) or b"" for event in sent))
        except trio.BrokenResourceError:
            raise UserError(ENDED) from None
        status = 0
        while not status:
            event = await self._event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif not isinstance(event, h11.InformationalResponse):
                raise UserError(ENDED)
        if status != 200:
            raise UserError(await self._complaint(status))
        told = await self._told()
        if told is None:
            raise UserError(ENDED)
        name, value = told
        if name != "joined":
            raise UserError(str(value.get("error", "The mesh did not say why it refuses.")))
        return _doors(value)

    async def other_doors(self) -> tuple[Door, ...] | None:
        """Wait until there are others; None where the mesh has ended. If cancelled, nothing is lost but time."""
        told = await self._told()
        return None if told is None else _doors(told[1])

    async def _told(self) -> tuple[str, dict[str, Any]] | None:
        """The next server-sent event that says something."""
        while True:
            while "\n\n" in self._text:
                block, _, self._text = self._text.partition("\n\n")
                fields = dict(line.partition(": ")[::2] for line in block.split("\n"))
                if "event" in fields and "data" in fields:
                    return fields["event"], json.loads(fields["data"])
            event = await self._event()
            if not isinstance(event, h11.Data):
                return None
            self._text += bytes(event.data).decode()

    async def _complaint(self, status: int) -> str:
        said = b""
        while isinstance(event := await self._event(), h11.Data):
            said += bytes(event.data)
        try:
            answer = json.loads(said)
            return f"{answer['error']} {answer['hint']}".strip()
        except (ValueError, KeyError, TypeError):
            return f"The mesh refuses with status {status}: does it have the version of this command?"

    async def _event(self) -> object:
        """The next event of HTTP; None where the connection has ended."""
        while (event := self._next()) is h11.NEED_DATA:
            try:
                data = await self._stream.receive_some(PIECE)
            except trio.BrokenResourceError:
                return None
            if not data and self._http.their_state is h11.SEND_BODY:
                return None  # a mesh that was killed ends in the middle of a chunk
            self._http.receive_data(data)
        return event

    def _next(self) -> object:
        """What has arrived, understood; None where it ends in the middle, as a killed mesh's does."""
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError:
            return None


@asynccontextmanager
async def connected(path: Path) -> AsyncIterator[Membership]:
    """A connection to the mesh with this socket. Raises UserError where nobody answers."""
    sock = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    try:
        with address_of(path) as address:
            await sock.connect(address)
    except OSError as problem:
        sock.close()
        raise UserError(
            f"The mesh does not answer on {path} ({problem.strerror}): `composemesh ls` shows which run."
        ) from problem
    async with trio.SocketStream(sock) as stream:
        yield Membership(stream)


def _doors(value: Mapping[str, Any]) -> tuple[Door, ...]:
    said: Sequence[Mapping[str, Any]] = value["doors"]
    return tuple(Door(each["service"], each["port"], each["address"], each["at"]) for each in said)
