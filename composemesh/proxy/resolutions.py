"""Names of endpoints, looked up again and again from where their callers stand. The last good answer stays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import structlog
import trio

from composemesh.runtime.latest import Latest

if TYPE_CHECKING:
    from composemesh.proxy.cluster import Endpoint

log = structlog.get_logger()

SHORTEST, LONGEST = 5.0, 30.0
"""Seconds that an answer is used, whatever its TTL says: Docker says 600 of containers, which move sooner."""
FIRST_RETRY = 1.0
"""Seconds until a failed look-up is tried again; doubles up to LONGEST."""
AT_ONCE = 16
"""Look-ups at a time."""

Key = tuple[str, frozenset[str]]
"""A name, and the networks of those who ask: what Docker's resolver knows depends on them."""


class Resolutions:
    """All names that entries speak of. `want` says which; `run` keeps them fresh."""

    def __init__(self) -> None:
        self.changed: Latest[int] = Latest(0)
        """Counts the answers that differed from the one before."""
        self._found: dict[Key, tuple[str, ...]] = {}
        self._callers: dict[frozenset[str], list[Endpoint]] = {}
        self._scopes: dict[Key, trio.CancelScope] = {}
        self._limit = trio.CapacityLimiter(AT_ONCE)
        self._nursery: trio.Nursery | None = None

    def __repr__(self) -> str:
        return f"<Resolutions {len(self._found)} of {len(self._scopes)} found>"

    def addresses(self, name: str, source: Endpoint) -> tuple[str, ...]:
        """Where a name was last found for `source`; nothing before it ever was."""
        return self._found.get((name, source.networks), ())

    def everywhere(self) -> dict[str, list[str]]:
        """Every name that was found, and where it was for anybody."""
        found: dict[str, list[str]] = {}
        for (name, _), addresses in self._found.items():
            found.setdefault(name, []).extend(addresses)
        return found

    def want(self, names: Iterable[str], callers: Iterable[Endpoint]) -> None:
        """Look these names up for these callers from now on, and no others."""
        self._callers = {}
        for caller in callers:
            if caller.captured is not None:
                self._callers.setdefault(caller.networks, []).append(caller)
        wanted = {(name, networks) for name in names for networks in self._callers}
        for key in self._scopes.keys() - wanted:
            self._scopes.pop(key).cancel()
            self._found.pop(key, None)
        for key in wanted - self._scopes.keys():
            self._scopes[key] = trio.CancelScope()
            if self._nursery is not None:
                self._nursery.start_soon(self._follow, key, self._scopes[key])

    async def run(self) -> None:
        """Look up what is wanted, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            for key, scope in self._scopes.items():
                self._nursery.start_soon(self._follow, key, scope)
            await trio.sleep_forever()

    async def _follow(self, key: Key, scope: trio.CancelScope) -> None:
        delay = FIRST_RETRY
        with scope:
            while True:
                try:
                    ttl = await self._look_up(key)
                except OSError as problem:
                    log.debug("name of an endpoint not found", name=key[0], because=str(problem))
                    await trio.sleep(delay)
                    delay = min(2 * delay, LONGEST)
                else:
                    delay = FIRST_RETRY
                    await trio.sleep(min(max(ttl, SHORTEST), LONGEST))

    async def _look_up(self, key: Key) -> float:
        """Ask once; for how long the answer holds. Raises OSError where there is none."""
        name, networks = key
        caller = next(iter(self._callers.get(networks, ())), None)
        if caller is None or caller.captured is None:
            raise OSError("nobody asks any more")
        async with self._limit:
            found = await caller.captured.look_up(name)
        if not found.addresses:
            raise OSError("it has no address")
        if self._found.get(key) != found.addresses:
            self._found[key] = found.addresses
            self.changed.publish(self.changed.value + 1)
        return found.ttl
