"""Connections to one address that wait for their next request. Decides only; whoever asks does the dialling.

The newest idle connection is used first, so that the rest can grow old and be closed.
"""

from __future__ import annotations

import socket
import time

from composemesh.proxy.wire import is_quiet

MOST_IDLE = 128
"""Idle connections kept to one address: more than callers usually have at a time, less than a server's backlog."""
LONGEST_IDLE = 60.0
"""Seconds an unused connection is kept. Servers that close earlier are noticed by `prune`."""
FRESH = 1.0
"""Seconds of idleness after which a connection is not trusted with a request that must not be sent twice.

Servers close idle connections after 2 s at the earliest (Apache 5 s, Node 5 s, gunicorn 2 s); a request that
crosses that close on the wire is lost. A new dial costs microseconds on one host.
"""
JUST_USED = 0.005
"""Seconds during which a connection is taken as quiet without asking the kernel.

Asking costs a tenth of a busy proxy's time, and tells nothing about the next moment anyway: what is sent on a
connection that closes meanwhile is seen to fail, and tried again where it may be.
"""


class Pool:
    """Idle connections to one address. Everything here is synchronous, so no cancellation can upset it."""

    __slots__ = ("_idle", "closed")

    def __init__(self) -> None:
        self._idle: list[tuple[socket.socket, float]] = []
        self.closed = False

    def __repr__(self) -> str:
        return f"<Pool idle={len(self._idle)}{' closed' if self.closed else ''}>"

    def checkout(self, *, repeatable: bool) -> socket.socket | None:
        """A connection that was still quiet a moment ago, or None: dial."""
        now = time.monotonic()
        while self._idle:
            sock, since = self._idle.pop()
            idle = now - since
            if idle < JUST_USED and repeatable:
                return sock
            if idle > FRESH and not repeatable:
                self._idle.append((sock, since))
                return None
            if is_quiet(sock):
                return sock
            sock.close()
        return None

    def checkin(self, sock: socket.socket) -> None:
        """Give back a connection whose last exchange ended in order."""
        if self.closed or len(self._idle) >= MOST_IDLE:
            sock.close()
        else:
            self._idle.append((sock, time.monotonic()))

    def prune(self, now: float) -> bool:
        """Close what has been idle too long, and what the other side has closed; false when none is left."""
        kept = []
        for sock, since in self._idle:
            if now - since > LONGEST_IDLE or not is_quiet(sock):
                sock.close()
            else:
                kept.append((sock, since))
        self._idle = kept
        return bool(kept)

    def close(self) -> None:
        """Close the idle ones now, and those in use when they come back."""
        self.closed = True
        for sock, _ in self._idle:
            sock.close()
        self._idle.clear()
