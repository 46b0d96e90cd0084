"""A StatsD server that takes nothing but what the protocol allows, on a real socket."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

LINE = re.compile(
    rb"(?P<name>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)"
    rb":(?P<value>[0-9]+(?:\.[0-9]+)?)\|(?P<kind>c|ms|g)"
    rb"(?:\|@(?P<rate>0\.[0-9]+))?"
    rb"(?:\|#(?P<tags>[A-Za-z][A-Za-z0-9_-]*:[A-Za-z0-9_./-]+(?:,[A-Za-z][A-Za-z0-9_-]*:[A-Za-z0-9_./-]+)*))?"
)


@dataclass(frozen=True)
class Metric:
    name: str
    value: float
    kind: str
    rate: float
    tags: tuple[tuple[str, str], ...]


def parse(line: bytes) -> Metric:
    """One line. Raises ValueError for what a server would not understand, or not understand for sure."""
    said = LINE.fullmatch(line)
    if said is None:
        raise ValueError(f"not StatsD: {line!r}")
    tags = (said["tags"] or b"").decode()
    pairs = tuple((name, value) for name, _, value in (tag.partition(":") for tag in tags.split(",") if tags))
    return Metric(said["name"].decode(), float(said["value"]), said["kind"].decode(), float(said["rate"] or 1), pairs)


class Receiver:
    """Listens on a UDP port of loopback, or on a path."""

    def __init__(self, path: Path | None = None) -> None:
        self._socket = trio.socket.from_stdlib_socket(
            socket.socket(socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_DGRAM)
        )
        self._path = path
        self.datagrams: list[bytes] = []

    async def open(self, port: int = 0) -> None:
        await self._socket.bind(str(self._path) if self._path else ("127.0.0.1", port))
        if not self._path:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)

    @property
    def address(self) -> str:
        return f"unix://{self._path}" if self._path else f"127.0.0.1:{self._socket.getsockname()[1]}"

    async def metrics(self, until: Callable[[Sequence[Metric]], object]) -> list[Metric]:
        """Those that arrive, until they are as wanted; fails after ten seconds. Raises ValueError for others."""
        heard: list[Metric] = []
        with trio.fail_after(10):
            while not until(heard):
                datagram = await self._socket.recv(65536)
                self.datagrams.append(datagram)
                heard += [parse(line) for line in datagram.split(b"\n")]
        return heard

    def close(self) -> None:
        self._socket.close()
