"""Connections to one address that wait for their next request. Decides only; whoever asks does the dialling.

The newest idle connection is used first, so that the rest can grow old and be closed.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

import trio

from composemesh.model.policy import ConnectionLimits

if TYPE_CHECKING:
    from composemesh.proxy.limits import Limits
    from composemesh.proxy.upstream.h1 import Http1Upstream
    from composemesh.proxy.upstream.h2 import Http2Link
    from composemesh.runtime.captured import Address

NO_LIMITS: Final = ConnectionLimits()
MOST_IDLE: Final = 128
"""Idle connections kept to one address: more than callers usually have at a time, less than a server's backlog."""
LONGEST_IDLE = 60.0
"""Seconds an unused connection is kept. Servers that close earlier are noticed by `prune`."""
FRESH: Final = 1.0
"""Seconds of idleness after which a connection is not trusted with a request that must not be sent twice.

Servers close idle connections after 2 s at the earliest (Apache 5 s, Node 5 s, gunicorn 2 s); a request that
crosses that close on the wire is lost. A new dial costs microseconds on one host.
"""


class Pool:
    """Idle connections to one address. Everything here is synchronous, so no cancellation can upset it."""

    __slots__ = ("_idle", "_links", "address", "closed", "dialling", "failures", "introduction", "limits", "why")

    def __init__(self, address: Address = ("", 0), limits: Limits | None = None, introduction: bytes = b"") -> None:
        host, port = address
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        """As records name it."""
        self.limits = limits
        """What holds for these connections, and counts them; None where nobody has said anything."""
        if limits is not None:
            limits.pools.add(self)
        self.introduction = introduction
        """What each of them began with."""
        self._idle: list[Http1Upstream] = []
        self._links: list[Http2Link] = []
        """Connections that carry many exchanges at a time: shared, and not lent."""
        self.closed = False
        self.dialling = trio.Lock()
        """Held by whoever makes a new link, so that a hundred requests at once share the first one."""
        self.failures = 0
        """Links that did not come about: who waited for one shares its failure, and does not wait for another."""
        self.why = ""
        """Why the last of them did not."""

    def __repr__(self) -> str:
        return f"<Pool idle={len(self._idle)}{' closed' if self.closed else ''}>"

    @property
    def settings(self) -> ConnectionLimits:
        """How these connections are made and kept."""
        return NO_LIMITS if self.limits is None else self.limits.settings

    def checkout(self, *, repeatable: bool) -> Http1Upstream | None:
        """A connection that was still quiet a moment ago, or None: dial."""
        while self._idle:
            idle = self._idle.pop()
            if not repeatable and time.monotonic() - idle.idle_since > FRESH:
                self._idle.append(idle)
                return None
            if idle.is_quiet():
                idle.reused = True
                return idle
            idle.close()
        return None

    def checkin(self, up: Http1Upstream) -> None:
        """Give back a connection whose last exchange ended in order."""
        now = time.monotonic()
        if self.closed or len(self._idle) >= MOST_IDLE or now > up.expires:
            up.close()
        else:
            up.idle_since = now
            self._idle.append(up)
            if self.limits is not None:
                self.limits.wake()

    def link(self) -> Http2Link | None:
        """An HTTP/2 connection with room for one more exchange, or None: dial.

        One whose server takes no more of any body is the last resort, where there may be no further one: the new
        request would have to wait until the server has read what it has of somebody else's.
        """
        most = math.inf if self.limits is None else self.settings.max_concurrent_streams or math.inf
        stopped = None
        for link in self._links:
            if not link.retired and not link.closed and link.codec.room and len(link.streams) < most:
                if not link.codec.stopped:
                    return link
                stopped = link
        return stopped if self.limits is not None and self.limits.full else None

    def add(self, link: Http2Link) -> None:
        """One more connection to share. One that belongs to a closed pool ends with the exchange it was made for."""
        if self.closed:
            link.retired = True
        else:
            self._links.append(link)
            if self.limits is not None:
                self.limits.wake()

    def evict(self) -> bool:
        """Close a connection that nobody uses, the oldest first; false where there is none."""
        if self._idle:
            self._idle.pop(0).close()
            return True
        for link in self._links:
            if not link.streams and not link.closed:
                link.close()
                return True
        return False

    def prune(self, now: float) -> bool:
        """Close what has been idle too long, and what the other side has closed.

        False when none is left, nor is being made.
        """
        kept = []
        longest = LONGEST_IDLE if self.limits is None else self.settings.idle_timeout or math.inf
        if self.introduction:
            longest = min(longest, FRESH)  # what named a client is of use to that one alone, and it may have left
        for idle in self._idle:
            if now - idle.idle_since > longest or now > idle.expires or not idle.is_quiet():
                idle.close()
            else:
                kept.append(idle)
        self._idle = kept
        for link in self._links:
            link.look_after(now)
            unused = not link.streams and (now - link.idle_since > longest or not link.codec.room)
            if now > link.expires or unused:
                link.retire()
        self._links = [link for link in self._links if not link.closed]
        return bool(kept or self._links) or self.dialling.locked()

    def close(self) -> None:
        """Close the idle ones now, and those in use when they come back."""
        self.closed = True
        for idle in self._idle:
            idle.close()
        self._idle.clear()
        for link in self._links:
            link.retire()
        self._links.clear()
        if self.limits is not None:
            self.limits.pools.discard(self)


class Pools(dict["Address | tuple[str, int, str, bytes]", Pool]):
    """The pools of one namespace, by address. An address that is asked for the first time gets a new one.

    Where something is said of connections, a subset's are told apart from the others' to the same address, and so are
    those that began with another introduction.

    Once closed, new ones are closed from birth: requests that began before go on asking, and nobody prunes any more.
    """

    __slots__ = ("closed",)

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def __missing__(self, address: Address | tuple[str, int, str, bytes]) -> Pool:
        pool = self[address] = Pool(address[:2])
        pool.closed = self.closed
        return pool

    def within(self, limits: Limits | None, subset: str, address: Address, introduction: bytes) -> Pool:
        """The pool of connections that these limits count, and that began with this introduction."""
        key = (*address, subset, introduction)
        pool = self.get(key)
        if pool is None or pool.limits is not limits:
            if pool is not None:
                pool.close()
            pool = self[key] = Pool(address, limits, introduction)
            pool.closed = self.closed
        return pool

    def prune(self, now: float) -> None:
        """Prune each, and forget those in which nothing is left."""
        for address, pool in tuple(self.items()):
            if not pool.prune(now):
                pool.close()
                del self[address]

    def close(self) -> None:
        """Close all of them, for good."""
        self.closed = True
        for pool in self.values():
            pool.close()
        self.clear()
