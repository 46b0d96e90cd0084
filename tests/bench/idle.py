"""Connections that have asked once and now wait: what a proxy pays for each in memory."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .load import Load
from .processes import LOOPBACK

AT_A_TIME = 100
"""Requests under way: fewer than the connections that anybody here opens upstream."""
REQUEST = b"GET / HTTP/1.1\r\nHost: idle\r\n\r\n"
PATIENCE = 10.0
"""Seconds for an answer."""


@contextmanager
def generate(port: int, connections: int, seconds: int, folder: Path) -> Iterator[Load]:
    """Open so many connections, ask once on each, and keep them all open."""
    with ExitStack() as stack:
        opened: list[socket.socket] = []
        errors = 0
        began = time.monotonic()
        while len(opened) < connections:
            some = [_ask(port, stack) for _ in range(min(AT_A_TIME, connections - len(opened)))]
            errors += sum(not one.recv(65536).startswith(b"HTTP/1.1 200 ") for one in some)
            opened += some
        rate = connections / (time.monotonic() - began)
        yield Load(connections - errors - _ended(opened), rate, errors=errors + _ended(opened))


def _ask(port: int, stack: ExitStack) -> socket.socket:
    sock = stack.enter_context(socket.create_connection((LOOPBACK, port), PATIENCE))
    sock.sendall(REQUEST)
    return sock


def _ended(socks: list[socket.socket]) -> int:
    """How many were closed at the other end."""
    poll = select.poll()
    for sock in socks:
        poll.register(sock, select.POLLRDHUP)
    return len(poll.poll(0))
