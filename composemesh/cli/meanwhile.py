"""What a command can do while it waits for a process of somebody else's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import TypeVar

import trio

from composemesh.runtime.groups import leaves

T = TypeVar("T")


async def while_importing(work: Callable[[], Awaitable[T]], *modules: str) -> T:
    """What `work` gives, which waits for others; meanwhile these modules are imported. Raises as `work` does.

    The mesh takes half a second of a processor to import, and Compose a quarter to answer: on two of them, one of the
    two costs nothing.
    """

    async def imported() -> None:
        for module in modules:
            await trio.to_thread.run_sync(import_module, module)

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(imported)
            return await work()
    except ExceptionGroup as problems:
        raise next(leaves(problems)) from None
