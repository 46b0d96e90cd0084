"""How much may be under way to one destination at a time (Istio's connectionPool), and who waits for whom.

Counts are of all callers together, where Envoy counts for each sidecar on its own: what is to be protected is the
callee. Everything but the waiting is synchronous, so no cancellation can upset a count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import trio

from composemesh.model.flag import Flag
from composemesh.proxy.refuse import Refused

if TYPE_CHECKING:
    from composemesh.model.policy import ConnectionLimits
    from composemesh.proxy.pool import Pool

T = TypeVar("T")


class Limits:
    """What is under way to one destination, and how much of it may be."""

    def __init__(self, settings: ConnectionLimits) -> None:
        self.settings = settings
        self.connections = 0
        """Open, in use or idle, or being made."""
        self.requests = 0
        self.retries = 0
        self.pools: set[Pool] = set()
        """Where its idle connections are."""
        self.queue: deque[trio.Event] = deque()
        """Who waits for a connection, the first to come first. Only the first is ever woken: it wakes the next."""

    def __repr__(self) -> str:
        return (
            f"<Limits connections={self.connections} requests={self.requests} retries={self.retries} "
            f"waiting={len(self.queue)}>"
        )

    @property
    def full(self) -> bool:
        """Whether there are as many connections as there may be."""
        return 0 < self.settings.max_connections <= self.connections

    def change(self, settings: ConnectionLimits) -> None:
        """From now on, these hold. What is more than they allow already is left to end."""
        self.settings = settings
        self.wake()

    # === requests and retries: at once, or not at all ===

    def begin_request(self) -> None:
        """Count one more request; undone by `end_request`. Raises Refused."""
        most = self.settings.max_requests
        if most and self.requests >= most:
            raise overflow(f"{most} requests are under way")
        self.requests += 1

    def end_request(self) -> None:
        self.requests -= 1
        self.wake()

    def begin_retry(self) -> bool:
        """Count one more retry, if there may be one more; undone by `end_retry`."""
        most = self.settings.max_retries
        if most and self.retries >= most:
            return False
        self.retries += 1
        return True

    def end_retry(self) -> None:
        self.retries -= 1

    # === connections: worth waiting for ===

    def begin_connection(self) -> bool:
        """Count one more connection, if there may be one more; undone by `end_connection`.

        At the limit, an idle connection to another endpoint is closed in its favour: the limit is on all of them, and
        nobody should wait for one that nobody uses.
        """
        most = self.settings.max_connections
        if most and self.connections >= most and not any(pool.evict() for pool in tuple(self.pools)):
            return False
        self.connections += 1
        return True

    def end_connection(self) -> None:
        self.connections -= 1
        self.wake()

    async def turn(self, take: Callable[[], T | None]) -> T:
        """What `take` gives, once it gives something and everybody who came before has been served.

        `take` is called when something may have changed, and must not wait. Raises Refused where as many wait already
        as may. Safe to cancel: what was taken is handed on, and who leaves the queue leaves no gap.
        """
        if not self.queue:
            taken = take()
            if taken is not None:
                return taken
        most = self.settings.max_pending_requests
        if most and len(self.queue) >= most:
            raise overflow(f"{most} requests wait for a connection")
        place = trio.Event()
        self.queue.append(place)
        try:
            while True:
                await place.wait()
                taken = take()
                if taken is not None:
                    return taken
                self.queue.remove(place)
                place = trio.Event()
                self.queue.appendleft(place)
        finally:
            self.queue.remove(place)
            self.wake()

    def wake(self) -> None:
        """Something may have become free."""
        if self.queue:
            self.queue[0].set()


def overflow(why: str) -> Refused:
    """The answer where there is no room."""
    return Refused(Flag.UPSTREAM_OVERFLOW, why)
