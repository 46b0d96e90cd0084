"""Who is there: anybody can announce a peer that is not, and one that was killed says no good-bye while its records
outlive it by minutes. So a peer counts when it accepts a connection, and until it no longer does."""

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
        self._new: set[Address] = set()
        """Those that nobody has looked at yet."""
        self._come = trio.Event()
        self._limit = trio.CapacityLimiter(AT_A_TIME)

    def __repr__(self) -> str:
        return f"<Health {sum(map(self.gone, self._failures))} of {len(self._failures)} gone>"

    def gone(self, address: Address) -> bool:
        """Whether a peer has not accepted connections lately, or never has."""
        return self._failures.get(address, FAILURES) >= FAILURES

    def follow(self, addresses: Iterable[Address]) -> None:
        """Look at these from now on, and at no others."""
        before = self._failures
        self._failures = {address: before.get(address, FAILURES) for address in addresses}
        self._new = (self._new & self._failures.keys()) | (self._failures.keys() - before.keys())
        if self._new:
            self._come.set()

    async def run(self) -> None:
        """Look, for ever: at newcomers at once."""
        self._new.update(self._failures)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._welcome, nursery)
            while True:
                await trio.sleep(EVERY)
                async with trio.open_nursery() as looks:
                    for address in self._failures.keys() - self._new:
                        looks.start_soon(self._look, address)

    async def _welcome(self, nursery: trio.Nursery) -> None:
        while True:
            while self._new:
                nursery.start_soon(self._look, self._new.pop())
            self._come = trio.Event()
            await self._come.wait()

    async def _look(self, address: Address) -> None:
        async with self._limit:
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
