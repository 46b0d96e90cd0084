"""Who is still there: a peer that was killed says no good-bye, and its records outlive it by minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import trio

Address = tuple[str, int]

EVERY = 2.0
"""Seconds between two looks at a peer."""
PATIENCE = 1.0
"""Seconds for it to accept a connection."""
FAILURES = 2
"""In a row, after which it counts as gone until it accepts one again: under five seconds in all."""
AT_A_TIME = 32


class Health:
    """Connects to each peer now and then."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """`changed` is called when somebody has gone or come back."""
        self._changed = changed
        self._failures: dict[Address, int] = {}

    def __repr__(self) -> str:
        return f"<Health {sum(map(self.gone, self._failures))} of {len(self._failures)} gone>"

    def gone(self, address: Address) -> bool:
        """Whether a peer has not accepted connections lately."""
        return self._failures.get(address, 0) >= FAILURES

    def follow(self, addresses: Iterable[Address]) -> None:
        """Look at these from now on, and at no others."""
        self._failures = {address: self._failures.get(address, 0) for address in addresses}

    async def run(self) -> None:
        """Look, for ever."""
        limit = trio.CapacityLimiter(AT_A_TIME)
        while True:
            await trio.sleep(EVERY)
            async with trio.open_nursery() as nursery:
                for address in tuple(self._failures):
                    nursery.start_soon(self._look, address, limit)

    async def _look(self, address: Address, limit: trio.CapacityLimiter) -> None:
        async with limit:
            there = await _accepts(address)
        if address not in self._failures:
            return  # forgotten meanwhile
        before = self.gone(address)
        self._failures[address] = 0 if there else self._failures[address] + 1
        if self.gone(address) is not before:
            self._changed()


async def _accepts(address: Address) -> bool:
    with trio.move_on_after(PATIENCE):
        try:
            stream = await trio.open_tcp_stream(*address)
        except OSError:
            return False
        await stream.aclose()
        return True
    return False
