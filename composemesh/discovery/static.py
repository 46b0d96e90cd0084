"""Workloads that are known from the start and never change."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import trio

from composemesh.model.workload import Discovered, Workload


class StaticSource:
    """Says what it was given, once."""

    def __init__(self, workloads: Iterable[Workload]) -> None:
        self.workloads = tuple(workloads)

    def __repr__(self) -> str:
        return f"<StaticSource {len(self.workloads)} workloads>"

    async def watch(self, publish: Callable[[Discovered], None]) -> None:
        """Publish the workloads and stay, as every source does."""
        publish(Discovered(self.workloads))
        await trio.sleep_forever()
