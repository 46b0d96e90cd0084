"""Which workloads are captured: what runs and what was configured, turned into listeners and rules."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import takewhile
from typing import NamedTuple

import structlog
import trio

from composemesh.capture import virtual_route
from composemesh.capture.dns import flows
from composemesh.capture.iptables import Iptables, IptablesFailed
from composemesh.capture.life import Life
from composemesh.capture.netns import NetworkNamespace
from composemesh.capture.refusal import NO_PERMISSION, Refused, lacking, refusal, shares_with, unreachable
from composemesh.model.snapshot import CaptureMode, Exclude, Snapshot
from composemesh.model.workload import Discovered, Kind, Workload
from composemesh.routing.names import Names
from composemesh.runtime.captured import Captures
from composemesh.runtime.latest import Latest

log = structlog.get_logger()

FIRST_RETRY = 0.5
LONGEST_RETRY = 30.0
"""Seconds between attempts at a workload that could not be captured."""
RELEASE_WITHIN = 5.0
"""Seconds that the end of the mesh waits for rules to come out."""


class Latency(NamedTuple):
    """How long one workload ran uncaptured."""

    workload: str
    capturing: float
    """Seconds from capture hearing of the workload until its rules stood."""


class Capture:
    """Keeps every workload captured that can and should be, whatever starts, ends or is configured."""

    def __init__(
        self,
        discovered: Latest[Discovered],
        snapshot: Latest[Snapshot],
        mode: CaptureMode,
        iptables: Iptables | None = None,
        names: Names | None = None,
    ) -> None:
        """`names` is shared with whoever takes the connections to the addresses that it gives out."""
        self.captures: Latest[Captures] = Latest(Captures())
        self.latencies: deque[Latency] = deque(maxlen=1000)
        self._discovered = discovered
        self._snapshot = snapshot
        self._mode = mode
        self._iptables = iptables or Iptables()
        self._names = names or Names()
        self._permission = NO_PERMISSION if lacking() else ""
        self._lives: dict[tuple[str, str], Life] = {}
        self._refused: dict[str, str] = {}
        self._releasing = False

    def __repr__(self) -> str:
        return f"<Capture {self._mode} {list(self._lives.values())!r}>"

    async def run(self) -> None:
        """Follow what runs and what is configured, for ever. If cancelled, rules stay until `release`."""
        changes, changed = trio.open_memory_channel[None](1)

        async def tell(latest: Latest[Discovered] | Latest[Snapshot]) -> None:
            async for _ in latest:
                try:
                    changes.send_nowait(None)
                except trio.WouldBlock:
                    pass  # one is waiting already, and will see this change too

        async with trio.open_nursery() as nursery:
            nursery.start_soon(tell, self._discovered)
            nursery.start_soon(tell, self._snapshot)
            for life in self._lives.values():  # of an earlier run that failed
                nursery.start_soon(self._keep, life)
            async for _ in changed:
                self._reconcile(nursery)

    def _reconcile(self, nursery: trio.Nursery) -> None:
        self._names.update(self._snapshot.value, self._discovered.value)
        workloads = {workload.life: workload for workload in self._discovered.value.workloads}
        for key in self._lives.keys() - workloads.keys():
            self._end(self._lives.pop(key))
        self._refused = dict(self._refusals(workloads.values()))
        for key, workload in workloads.items():
            wish = None if workload.id in self._refused else self._exclude(workload)
            life = self._lives.get(key)
            if life is not None:
                life.update(workload)
                life.wish.publish(wish)
            elif not self._releasing and not self._permission and not unreachable(workload, {}):
                life = self._lives[key] = Life(workload, wish, self._iptables, self._names)
                nursery.start_soon(self._keep, life)
        self._publish()

    def _refusals(self, workloads: Iterable[Workload]) -> Iterator[tuple[str, str]]:
        names = {workload.id: workload.name for workload in self._discovered.value.workloads}
        for workload in workloads:
            if workload.kind is Kind.PROCESS:
                continue  # it joined by itself: see `doors`
            reason = refusal(workload, self._snapshot.value.settings_of(workload), self._mode, names)
            if reason or self._permission:
                yield workload.id, reason or self._permission

    def _exclude(self, workload: Workload) -> Exclude:
        snapshot = self._snapshot.value
        return snapshot.mesh.exclude | snapshot.settings_of(workload).exclude

    def _end(self, life: Life) -> None:
        life.ended, life.captured = True, None
        life.scope.cancel()
        log.debug("ended", workload=life.workload.name)

    def _publish(self) -> None:
        captured = {key: life.captured for key, life in self._lives.items() if life.captured is not None}
        failed = {life.workload.id: life.reason for life in self._lives.values() if life.reason}
        self.captures.publish(Captures(captured, {**failed, **self._refused}))

    async def _keep(self, life: Life) -> None:
        """Carry out each wish for one workload, until its life ends; its failures are nobody else's."""
        try:
            with trio.CancelScope() as life.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_resolve, life)
                    delay = FIRST_RETRY
                    while not life.ended:
                        version = life.wish.version
                        self._tell(life, await self._attempt(life))
                        with trio.move_on_after(delay if life.reason else math.inf):
                            await life.wish.after(version)
                        delay = min(delay * 2, LONGEST_RETRY) if life.reason else FIRST_RETRY
        finally:
            if life.ended:
                await life.close()

    def _tell(self, life: Life, reason: str) -> None:
        if reason and reason != life.reason:
            log.warning("not captured", workload=life.workload.name, because=reason)
        life.reason = reason
        self._publish()

    async def _attempt(self, life: Life) -> str:
        """One attempt at the present wish; the reason why it failed, or nothing."""
        wish = life.wish.value
        try:
            if self._releasing:
                return ""
            if wish is None:
                life.enter()  # not ours to capture, but a killed mesh may have left something there
                await life.release()
            else:
                await self._capture(life, wish)
        except (Refused, IptablesFailed) as problem:
            return str(problem) if wish is not None else ""
        except Exception as problem:  # ours to mend, and no reason to leave the other workloads uncaptured
            log.exception("capture failed", workload=life.workload.name)
            return f"It could not be captured: {problem!r}"
        return ""

    async def _capture(self, life: Life, exclude: Exclude) -> None:
        life.enter()
        for other in takewhile(lambda other: other is not life, self._lives.values()):
            if other.inode == life.inode and other.wish.value is not None:
                raise Refused(shares_with(other.workload.name))
        new = life.captured is None
        await life.capture(exclude)
        if new:
            latency = Latency(life.workload.name, trio.current_time() - life.seen)
            self.latencies.append(latency)
            log.debug("captured", workload=latency.workload, seconds=round(latency.capturing, 4))

    async def rest(self) -> None:
        """Take no new connection anywhere, for good, while those already taken live on: drain, then `release`.

        Bounded and shielded as `release` is; all workloads are gone from `captures` afterwards.
        """
        await self._everywhere(self._rest)

    async def release(self) -> None:
        """Take the rules out of every namespace, within five seconds, cancelled or not.

        Afterwards nothing more is captured. What could not be released is still in `captures`; all other workloads
        are gone from it, and their listeners are for the proxy to drain and close. Where no other rule of the
        namespace tracks connections (Docker's resolver has such rules, in IPv4), those in flight hang: `rest` first.
        """
        await self._everywhere(self._release)

    async def _everywhere(self, end: Callable[[Life], Awaitable[None]]) -> None:
        self._releasing = True
        with trio.CancelScope(deadline=trio.current_time() + RELEASE_WITHIN, shield=True):
            async with trio.open_nursery() as nursery:
                for life in self._lives.values():
                    nursery.start_soon(end, life)
        self._publish()

    async def _rest(self, life: Life) -> None:
        try:
            await life.rest()
        except Refused as problem:
            log.warning(
                "its new connections still come to the mesh", workload=life.workload.name, because=str(problem)
            )

    async def _release(self, life: Life) -> None:
        try:
            await life.release()
        except (IptablesFailed, OSError) as problem:
            log.error("rules may have been left behind", workload=life.workload.name, problem=str(problem))


async def _resolve(life: Life) -> None:
    """Run the life's resolver whenever it has one."""
    while True:
        version, resolver = life.resolver.version, life.resolver.value
        if resolver is None:
            await life.resolver.after(version)
            continue
        try:
            await resolver.run()
        except Exception:  # a question has found a bug of ours: the next one is answered all the same
            log.exception("resolver failed", workload=life.workload.name)
        else:
            await life.resolver.after(version)


async def sweep(workloads: Iterable[Workload]) -> int:
    """Take out what a killed mesh left in the namespaces of these workloads; how many had something.

    Rules of a mesh that still runs are left alone, and so are all rules that are not ours.
    """
    iptables = Iptables()
    cleaned: list[str] = []

    async def one(workload: Workload) -> None:
        try:
            namespace = NetworkNamespace.of(workload)
        except Refused:
            return
        try:
            if await iptables.remove(namespace):
                virtual_route.remove(namespace)
                await flows.forget(namespace)
                cleaned.append(workload.name)
        except IptablesFailed as problem:
            log.warning("could not be swept", workload=workload.name, problem=str(problem))
        finally:
            namespace.close()

    async with trio.open_nursery() as nursery:
        for workload in workloads:
            if not unreachable(workload, {}):
                nursery.start_soon(one, workload)
    return len(cleaned)
