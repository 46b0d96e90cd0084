"""The sources that `x-mesh` names, as one source: started, changed and ended as the configuration says.

They are plugins, so what they report is looked at before it is believed: nobody gets a name of the project's own,
and what cannot be a workload is left out and named. One that raises is watched again, later each time, while what it
said last stands. None of that is trouble of the project's own: it is told as a Problem, and no start waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import trio

from composemesh.discovery.own_names import own_names
from composemesh.discovery.registry import Source
from composemesh.discovery.soundness import wrong_with
from composemesh.model.problem import Problem, Severity
from composemesh.model.snapshot import Snapshot
from composemesh.model.workload import HOST, Attachment, Discovered, Kind, Workload
from composemesh.runtime.failures import Failures, Mistaken
from composemesh.runtime.latest import Latest
from composemesh.runtime.supervise import keep_running

MOST = 4096
"""Workloads of one source. Each has an address in tables that every proxy reads."""
MOST_LEFT_OUT = 20
"""Of one source that are named; the rest is counted."""


class FoundSource:
    """One source of the configuration, over all its lives."""

    def __init__(self, name: str, config: Any, make: Callable[[], Source], changed: Callable[[], None]) -> None:
        self.name = name
        self.config = config
        self.scope = trio.CancelScope()
        self.state = Discovered()
        """What it said last."""
        self._make = make
        self._changed = changed
        self.failures = Failures("source", name)

    def __repr__(self) -> str:
        return f"<FoundSource {self.name} {len(self.state.workloads)} workloads {self.failures.last or 'well'}>"

    async def run(self) -> None:
        """Watch until it is taken out of the configuration."""
        with self.scope:
            await keep_running(self.failures, self._once)

    def problem(self) -> Problem | None:
        """Why what it says may be stale."""
        failed = self.failures.problem("is started again, while what it said last stands")
        if failed is not None or not self.state.trouble:
            return failed
        message = f"The {self.failures}: {self.state.trouble!s:.300}"
        return Problem(Severity.WARNING, "source-stale", message, resource=str(self.failures))

    async def _once(self) -> None:
        await self._make().watch(self._hear)
        raise Mistaken("it returned, though the mesh goes on")

    def _hear(self, state: Discovered) -> None:
        if not isinstance(state, Discovered):
            raise TypeError(f"{state!r:.100} was published, which is no Discovered")
        for workload in state.workloads:
            wrong_with(workload)  # what is so wrong that it raises is the plugin's own trouble, here and now
        self.state = state
        self._changed()


class FoundSources:
    """All of them, as the registry sees them: one source that never fails."""

    def __init__(self, make: Callable[[str, Any], Source]) -> None:
        """`make` makes the source of a name and its configuration. May raise."""
        self.running: dict[str, FoundSource] = {}
        """Those of the configuration, by name, in its order."""
        self._make = make
        self._own: frozenset[str] = frozenset()
        self._found: Latest[Discovered] = Latest(Discovered())
        self._left_out: tuple[Problem, ...] = ()

    def __repr__(self) -> str:
        return f"<FoundSources {list(self.running.values())}>"

    def problems(self) -> Iterator[Problem]:
        """What fails, and who was left out."""
        for source in self.running.values():
            problem = source.problem()
            if problem is not None:
                yield problem
        yield from self._left_out

    def failures(self) -> Iterator[Failures]:
        """What they did wrong since they were configured as they are."""
        for source in self.running.values():
            yield source.failures

    async def watch(self, publish: Callable[[Discovered], None]) -> None:
        """Publish what they have found, for ever."""
        async for state in self._found:
            publish(state)

    async def follow(self, snapshot: Latest[Snapshot], discovered: Latest[Discovered]) -> None:
        """Run those that the configuration names, for ever, and know which names are the project's own."""
        async with trio.open_nursery() as nursery:

            async def each(feed: Latest[Snapshot] | Latest[Discovered]) -> None:
                async for _ in feed:
                    self._start(snapshot.value.mesh.sources, nursery)
                    if self.running:
                        self._own = own_names(snapshot.value, discovered.value)
                    self._update()

            nursery.start_soon(each, snapshot)
            nursery.start_soon(each, discovered)

    def _start(self, wanted: Mapping[str, Any], nursery: trio.Nursery) -> None:
        for name, source in list(self.running.items()):
            if name not in wanted or wanted[name] != source.config:
                source.scope.cancel()
                del self.running[name]
        for name, config in wanted.items():
            if name not in self.running:
                source = FoundSource(name, config, partial(self._make, name, config), self._update)
                self.running[name] = source
                nursery.start_soon(source.run)

    def _update(self) -> None:
        problems: list[Problem] = []
        found: dict[str, Workload] = {}
        holders: dict[str, str] = {}
        for source in self.running.values():
            left_out = []
            for workload in source.state.workloads[:MOST]:
                why = wrong_with(workload) or self._taken(workload, source.name, holders)
                if why:
                    left_out.append((workload, why))
                    continue
                made = _found(workload, source.name)
                found[made.id] = made
                holders[made.compose_service.lower()] = source.name
            problems += _told(source, left_out)
        self._left_out = tuple(problems)
        self._found.publish(Discovered(tuple(found.values())))

    def _taken(self, workload: Workload, source: str, holders: Mapping[str, str]) -> str:
        """Why it cannot have its name; empty where it can."""
        name = workload.compose_service.lower()
        if name in self._own:
            return f"The project has a service {name} of its own."
        if holders.get(name, source) != source:
            return f"The source {holders[name]} has found a service {name} already."
        return ""


def _found(workload: Workload, source: str) -> Workload:
    """As the mesh knows it: found, and reached from this host, wherever else its source believes it to be."""
    aliases = tuple(alias for place in workload.attachments for alias in place.aliases)
    place = Attachment(HOST, HOST, workload.addresses, aliases)
    return replace(
        workload, id=f"{source}:{workload.id}", pid=0, attachments=(place,), network_mode="own", kind=Kind.FOUND
    )


def _told(source: FoundSource, left_out: list[tuple[Workload, str]]) -> Iterator[Problem]:
    subject = f"source {source.name}"
    for workload, why in left_out[:MOST_LEFT_OUT]:
        name = ascii(str(getattr(workload, "name", workload))[:60])
        yield Problem(Severity.WARNING, "left-out", f"The {subject} found {name}, left out. {why}", resource=subject)
    more = len(left_out) - MOST_LEFT_OUT
    if more > 0:
        yield Problem(Severity.WARNING, "left-out", f"The {subject} found {more} more, left out.", resource=subject)
    surplus = len(source.state.workloads) - MOST
    if surplus > 0:
        message = f"The {subject} found {surplus} workloads more than the {MOST} that it may."
        yield Problem(Severity.WARNING, "left-out", message, resource=subject)
