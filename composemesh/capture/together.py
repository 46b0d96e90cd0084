"""Several ways of capture at once: containers by their namespaces, host processes by addresses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import trio

from composemesh.runtime.captured import Captures
from composemesh.runtime.latest import Latest


class Part(Protocol):
    """One way of capture."""

    captures: Latest[Captures]

    async def run(self) -> None: ...

    async def rest(self) -> None: ...

    async def release(self) -> None: ...


class Together:
    """What all parts capture. None of them speaks of a workload that is another's."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.captures: Latest[Captures] = Latest(Captures())
        self._parts = tuple(parts)

    def __repr__(self) -> str:
        return f"<Together {', '.join(map(repr, self._parts))}>"

    async def run(self) -> None:
        """Run the parts, for ever; when one fails, all start again."""
        async with trio.open_nursery() as nursery:
            for part in self._parts:
                nursery.start_soon(part.run)
                nursery.start_soon(self._follow, part)

    async def _follow(self, part: Part) -> None:
        async for _ in part.captures:
            self._publish()

    def _publish(self) -> None:
        captured = {life: each for part in self._parts for life, each in part.captures.value.captured.items()}
        refused = {name: why for part in self._parts for name, why in part.captures.value.refused.items()}
        self.captures.publish(Captures(captured, refused))

    async def rest(self) -> None:
        """Let new connections go past the mesh, everywhere."""
        for part in self._parts:
            await part.rest()
        self._publish()

    async def release(self) -> None:
        """Leave nothing behind, anywhere."""
        for part in self._parts:
            await part.release()
        self._publish()
