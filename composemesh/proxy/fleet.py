"""Sidecars come and go with what is captured; the plan follows whatever changes. The one writer of the plan."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import trio

from composemesh.proxy.gateway import Certify, Gateways, uncertified
from composemesh.proxy.listener import Sidecar, sweep
from composemesh.proxy.planner import Planner
from composemesh.proxy.reactor import Reactor
from composemesh.proxy.readiness import await_listening, listens

if TYPE_CHECKING:
    from composemesh.model.snapshot import Snapshot
    from composemesh.model.workload import Discovered
    from composemesh.proxy.balance.making import Balancers
    from composemesh.proxy.chain.live import Filters
    from composemesh.proxy.cluster import Endpoint
    from composemesh.routing.names import Names
    from composemesh.runtime.captured import Captures
    from composemesh.runtime.latest import Latest
    from composemesh.telemetry.hub import Hub

PRUNE = 1.0
"""Seconds between looks at idle upstream connections."""
DRAIN = 5.0
"""Seconds that exchanges in flight get to end, when their sidecar does (Istio's terminationDrainDuration)."""

Life = tuple[str, str]


class Fleet:
    """Every sidecar of the project."""

    def __init__(
        self,
        discovered: Latest[Discovered],
        snapshot: Latest[Snapshot],
        captures: Latest[Captures],
        hub: Hub,
        names: Names | None = None,
        certify: Certify = uncertified,
        balancers: Balancers | None = None,
        filters: Filters | None = None,
    ) -> None:
        """`certify` makes what gateways begin TLS with; `balancers`, what picks endpoints (None: our own alone);
        `filters`, what requests go through (None: nothing)."""
        self._discovered = discovered
        self._snapshot = snapshot
        self._captures = captures
        self._hub = hub
        self._reactor = Reactor()
        self.planner = Planner(names, balancers, filters)
        self.sidecars: dict[Life, Sidecar] = {}
        self._alive: set[Sidecar] = set()
        """Also those that drain."""
        self._warming: set[Life] = set()
        self.gateways = Gateways(self.planner, hub, self._reactor, certify, self._enter, self._leave)

    def __repr__(self) -> str:
        return f"<Fleet {len(self.sidecars)} sidecars, {self.planner.plan!r}>"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep sidecars and plan up to date, until cancelled; then connections are cut. Drain first."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._reactor.run)
                self._update()
                resolutions = self.planner.entries.resolutions
                for feed in (self._discovered, self._snapshot, self._captures, resolutions.changed):
                    nursery.start_soon(self._follow, feed, feed.version)
                nursery.start_soon(resolutions.run)
                nursery.start_soon(sweep, self._alive)
                nursery.start_soon(self._prune)
                nursery.start_soon(self.gateways.run)
                nursery.start_soon(self._hub.lag.run)
                task_status.started()
        finally:
            for endpoint in self.planner.connected():
                endpoint.close()

    def ejected(self, service: str, life: Life) -> float:
        """Seconds for which callers of the service still leave this workload out; 0 where they don't."""
        now = time.monotonic()
        return max(0.0, self.planner.policies.ejected(service, life, now) - now)

    async def drain(self) -> None:
        """Let exchanges in flight end, for at most DRAIN seconds; then cut the rest."""
        async with trio.open_nursery() as nursery:
            for sidecar in tuple(self._alive):
                nursery.start_soon(sidecar.drain, DRAIN)

    async def _follow(self, feed: Latest[Any], version: int) -> None:
        """Update with whatever is newer than `version`, which is older than this task."""
        while True:
            version = await feed.after(version)
            self._update()

    def _update(self) -> None:
        """Bring everything up to date, at once: an address must never be served by yesterday's plan."""
        self._replan()
        captured = self._captures.value.captured
        for life, sidecar in tuple(self.sidecars.items()):
            if life not in captured:
                del self.sidecars[life]
                self._nursery.start_soon(sidecar.drain, DRAIN)
        for life, capture in captured.items():
            endpoint = self.planner.endpoints.get(life)
            if endpoint is None:
                continue
            if life in self.sidecars:
                self.sidecars[life].take(capture)
                self.sidecars[life].endpoint = endpoint  # it may have been out of discovery's sight meanwhile
            else:
                sidecar = self.sidecars[life] = Sidecar(capture, endpoint, self.planner, self._hub, self._reactor)
                self._nursery.start_soon(self._run, sidecar)
        self.gateways.follow(self._snapshot.value.gateways)
        for life, endpoint in self.planner.endpoints.items():
            if not endpoint.ready and life not in self._warming:
                self._warming.add(life)
                self._nursery.start_soon(self._warm, life, endpoint)

    def _replan(self) -> None:
        plan = self.planner
        plan.replan(self._discovered.value, self._snapshot.value, self._captures.value)
        fresh = False
        for endpoint in plan.endpoints.values():
            if not endpoint.ready and listens(endpoint, plan.spoken.get(endpoint.service)):
                endpoint.ready = fresh = True
        if fresh:
            plan.replan(self._discovered.value, self._snapshot.value, self._captures.value)

    async def _warm(self, life: Life, endpoint: Endpoint) -> None:
        def gone() -> bool:
            return life not in self.planner.endpoints

        await await_listening(endpoint, lambda: self.planner.spoken.get(endpoint.service), gone)
        self._warming.discard(life)
        if not gone():
            self._update()

    def _enter(self, entrance: Sidecar) -> None:
        self._nursery.start_soon(self._run, entrance)

    def _leave(self, entrance: Sidecar) -> None:
        self._nursery.start_soon(entrance.drain, DRAIN)

    async def _run(self, sidecar: Sidecar) -> None:
        self._alive.add(sidecar)
        try:
            await sidecar.run()
        finally:
            self._alive.discard(sidecar)

    async def _prune(self) -> None:
        while True:
            await trio.sleep(PRUNE)
            now = time.monotonic()
            for endpoint in self.planner.connected():
                endpoint.pools.prune(now)
