"""Keeps the sinks running that the configuration names, and what they do wrong away from everybody else.

Each sink has a task and records of its own. What raises is started again by `supervise`, later each time; what hangs
loses records, which are counted; either is told as a Problem. A sink that is taken out of the configuration, or whose
mesh ends, first gets the records that wait and a moment to hand them on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol

import structlog
import trio

from composemesh.model.problem import Problem, Severity
from composemesh.model.snapshot import Snapshot
from composemesh.runtime.failures import Failures, Mistaken
from composemesh.runtime.latest import Latest
from composemesh.runtime.supervise import keep_running
from composemesh.telemetry.hub import Hub
from composemesh.telemetry.records import Records

log = structlog.get_logger()

GRACE = 0.5
"""Seconds that a sink has, once its records have ended, to hand on what it holds."""
RECENTLY = 60.0
"""Seconds for which lost records are a Problem. The counter in /metrics knows them for ever."""
LOOK_EVERY = 10.0
"""Seconds between two looks at who has lost records, for the log."""


class Sink(Protocol):
    """Hands on what happened to somebody outside the mesh."""

    async def run(self, records: Records) -> None:
        """Take records until there will be none any more; then hand on what is left, and return.

        Raise freely: the sink is made and run again, with the records that still wait. May be cancelled at any
        point, half a second after the end of the records at the latest.
        """


Make = Callable[[Any], Sink]
"""Makes a sink of its configuration. May raise, too."""


class RunningSink:
    """One sink of the configuration, over all its lives."""

    def __init__(self, name: str, config: Any, make: Callable[[], Sink]) -> None:
        self.name = name
        self.config = config
        self.records = Records(name)
        self._make = make
        self._scope = trio.CancelScope(shield=True)
        self.failures = Failures("sink", name)
        self._told = 0

    def __repr__(self) -> str:
        return f"<RunningSink {self.name} {self.records!r} {self.failures.last or 'well'}>"

    async def run(self) -> None:
        """Be the sink until its records have ended and it has handed them on, or its time is up."""
        with self._scope:
            await keep_running(self.failures, self._once)
        self.records.lose(len(self.records))

    def end(self) -> None:
        """No more records. Whoever cancels `run` earlier only hurries it: what waits has half a second."""
        self.records.end()
        self._scope.deadline = trio.current_time() + GRACE

    def problems(self) -> Iterator[Problem]:
        """What is wrong with it at this moment."""
        now = time.monotonic()
        failed = self.failures.problem("is started again")
        if failed is not None:
            yield failed
        if now - self.records.lost_at < RECENTLY:
            message = f"The {self.failures} does not keep up: {self.records.lost} records were lost so far."
            hint = "See whether its receiver is there and takes what it is sent."
            yield Problem(Severity.WARNING, "records-lost", message, hint, resource=str(self.failures))

    def tell(self) -> None:
        """A line in the log where records were lost since the last one."""
        if self.records.lost > self._told:
            log.warning("sink lost records", sink=self.name, lost=self.records.lost - self._told)
            self._told = self.records.lost

    async def _once(self) -> None:
        try:
            await self._make().run(self.records)
            if not self.records.ended:
                raise Mistaken("it returned, though there will be more records")
        finally:
            if self.records.ended:
                self._scope.cancel()


class Sinks:
    """All sinks of one mesh."""

    def __init__(self, hub: Hub, make: Callable[[str, Any], Sink]) -> None:
        """`make` makes the sink of a name and its configuration."""
        self.running: dict[str, RunningSink] = {}
        """Those of the configuration, by name."""
        self._hub = hub
        self._make = make

    def __repr__(self) -> str:
        return f"<Sinks {list(self.running.values())}>"

    def problems(self) -> Iterator[Problem]:
        """What is wrong with any of them at this moment."""
        for sink in self.running.values():
            yield from sink.problems()

    def failures(self) -> Iterator[Failures]:
        """What they did wrong since they were configured as they are."""
        for sink in self.running.values():
            yield sink.failures

    async def run(self, snapshot: Latest[Snapshot]) -> None:
        """Follow the configuration until cancelled. While there is no sink, the request path knows of none."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look)
            try:
                async for newest in snapshot:
                    self._follow(newest.mesh.sinks, nursery)
            finally:
                self._follow({}, nursery)

    def _follow(self, wanted: Mapping[str, Any], nursery: trio.Nursery) -> None:
        for name, sink in list(self.running.items()):
            if name not in wanted or wanted[name] != sink.config:
                del self.running[name]
                self._hub.remove_feed(sink.records)
                sink.end()
        for name, config in wanted.items():
            if name not in self.running:
                sink = self.running[name] = RunningSink(name, config, partial(self._make, name, config))
                self._hub.add_feed(sink.records)
                nursery.start_soon(sink.run)

    async def _look(self) -> None:
        while True:
            await trio.sleep(LOOK_EVERY)
            for sink in self.running.values():
                sink.tell()
