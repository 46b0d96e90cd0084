"""Asking Compose for the resolved project: a process of its own, and a tenth of a second each time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from composemesh.config.loaders.resolved import Resolved

Resolve = Callable[[], Awaitable[Resolved]]
"""Asks Compose for the resolved project. Raises `Unresolved` with Compose's own words."""


async def asked(resolve: Resolve) -> Resolved | Exception:
    """What Compose says, or why it does not."""
    try:
        return await resolve()
    except Exception as error:
        return error


class Early:
    """An answer that was asked for before anybody needs it."""

    def __init__(self) -> None:
        self._there = trio.Event()
        self._answer: Resolved | Exception = LookupError("nobody has asked")

    def __repr__(self) -> str:
        return f"<Early {'answered' if self._there.is_set() else 'asked'}>"

    def take_in(self, answer: Resolved | Exception) -> None:
        """This is the answer."""
        self._answer = answer
        self._there.set()

    async def answer(self) -> Resolved | Exception:
        """Wait for it. Safe to cancel."""
        await self._there.wait()
        return self._answer
