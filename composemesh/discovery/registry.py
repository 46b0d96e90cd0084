"""Merges what the sources say into one feed, and keeps the sources running."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

import trio

from composemesh.model.workload import Discovered
from composemesh.runtime.latest import Latest
from composemesh.runtime.supervise import supervise

UNHEARD = Discovered(trouble="Discovery has not finished its first look.")
"""What is known before a source speaks: nothing, which differs from knowing that nothing runs."""


class Source(Protocol):
    """Finds workloads somewhere, for as long as the mesh runs."""

    async def watch(self, publish: Callable[[Discovered], None]) -> object:
        """Publish everything that is known, again after each change, for ever. Equal states may repeat.

        Raise freely: the registry keeps the last known state, says so in `trouble`, and calls again.
        """


class Registry:
    """Everything that runs, from all sources."""

    def __init__(self) -> None:
        self.discovered: Latest[Discovered] = Latest(UNHEARD)
        """Full state. `trouble` is empty once every source has spoken, and while all of them are live."""

    def __repr__(self) -> str:
        now = self.discovered.value
        return f"<Registry {len(now.workloads)} workloads {len(now.impostors)} impostors {now.trouble!r}>"

    async def run(self, sources: Sequence[Source]) -> None:
        """Watch the sources for ever. Where two know the same workload, the earlier one is believed."""
        said = [UNHEARD for _ in sources]

        def publish(place: int, state: Discovered) -> None:
            said[place] = state
            self.discovered.publish(merge(said))

        async def watch(place: int, source: Source) -> None:
            try:
                await source.watch(partial(publish, place))
            except Exception as problem:
                publish(place, replace(said[place], trouble=f"{source!r} failed and starts again: {problem!r}"))
                raise

        self.discovered.publish(merge(said))
        async with trio.open_nursery() as nursery:
            for place, source in enumerate(sources):
                nursery.start_soon(supervise, type(source).__name__, partial(watch, place, source))


def merge(states: Sequence[Discovered]) -> Discovered:
    """One state out of several, each workload once, ordered by name so that equal worlds compare equal."""
    workloads = {workload.id: workload for state in reversed(states) for workload in state.workloads}
    impostors = {impostor.id: impostor for state in reversed(states) for impostor in state.impostors}
    return Discovered(
        tuple(sorted(workloads.values(), key=lambda workload: (workload.name, workload.id))),
        tuple(sorted(impostors.values(), key=lambda impostor: (impostor.name, impostor.id))),
        trouble=" ".join(dict.fromkeys(state.trouble for state in states if state.trouble)),
    )
