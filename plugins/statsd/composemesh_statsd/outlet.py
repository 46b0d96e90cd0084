"""Where the datagrams go: UDP or a Unix datagram socket, opened anew for each report.

A report comes every few seconds, so that costs nothing, and a receiver that was restarted, moved to another address
or is not there yet needs no further thought.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import trio

UDP_SIZE = 1432
"""Bytes of a datagram: what fits an Ethernet frame with IP's and UDP's headers, and a tunnel's."""
UNIX_SIZE = 8192
"""As DogStatsD's clients have it."""
PATIENCE = 1.0
"""Seconds for a report: a Unix socket whose reader does not read makes its writer wait."""

_UDP = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[1-9][0-9]{0,4})")


@dataclass(frozen=True, slots=True)
class Outlet:
    """An address: a host and a port, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        return f"unix://{self.path}" if self.path else f"{self.host}:{self.port}"

    @property
    def size(self) -> int:
        """Bytes that a datagram may have."""
        return UNIX_SIZE if self.path else UDP_SIZE

    async def send(self, datagrams: Iterable[tuple[bytes, int]]) -> tuple[int, str]:
        """Send each with its number of lines; return how many lines were lost, and why. Never raises OSError.

        Nobody learns whether a datagram over UDP has arrived; that nobody listens comes back only from some hosts.
        Cancelled, some have been sent.
        """
        lost, held, why = 0, 0, ""
        remaining = iter(datagrams)
        with trio.move_on_after(PATIENCE) as scope:
            try:
                with await self._open() as sock:
                    for datagram, held in remaining:
                        try:
                            await sock.send(datagram)
                        except OSError as problem:
                            lost, why = lost + held, _reason(problem)
                        held = 0
            except OSError as problem:
                why = _reason(problem)
        if scope.cancelled_caught:
            why = "its receiver does not read"
        return lost + held + sum(lines for _, lines in remaining), why

    async def _open(self) -> trio.socket.SocketType:
        address: Any = self.path
        family = trio.socket.AF_UNIX
        if not self.path:
            found = await trio.socket.getaddrinfo(self.host, self.port, type=trio.socket.SOCK_DGRAM)
            family, _, _, _, address = found[0]
        sock = trio.socket.socket(family, trio.socket.SOCK_DGRAM)
        try:
            await sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return sock


def outlet(address: str) -> Outlet:
    """`HOST:PORT` or `unix:///PATH`. Raises ValueError with a sentence that says what is possible."""
    if address.startswith("unix://"):
        path = address.removeprefix("unix://")
        if not path.startswith("/") or "\0" in path or len(path.encode()) > 107:
            raise ValueError("must be unix:// and an absolute path of at most 107 bytes, like unix:///run/dsd.socket")
        return Outlet(path=path)
    said = _UDP.fullmatch(address)
    if said is None or int(said["port"]) > 65535:
        raise ValueError("must be HOST:PORT or unix:///PATH, like 127.0.0.1:8125")
    return Outlet(said["host"].strip("[]"), int(said["port"]))


def _reason(problem: OSError) -> str:
    if problem.errno in (errno.ECONNREFUSED, errno.ENOENT):
        return "nobody listens"
    return problem.strerror or str(problem)
