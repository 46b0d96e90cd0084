"""What a task is told that is woken by the reactor, the lane or a stream: nothing, and at no cost."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import TypeVar

import outcome

Sent = TypeVar("Sent")


class Woken(outcome.Outcome[None]):
    """What a woken task is told, which is nothing. `outcome.Value` says the same, but each of them only once, and it
    takes a microsecond to make one and to mark it as used."""

    def unwrap(self) -> None:
        pass

    def send(self, gen: Generator[Sent, None, object]) -> Sent:
        return gen.send(None)

    async def asend(self, agen: AsyncGenerator[Sent, None]) -> Sent:
        return await agen.asend(None)


WOKEN = Woken()
