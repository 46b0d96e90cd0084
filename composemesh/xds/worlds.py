"""What each client is to have: made anew when the configuration or what runs changes, once for all who see the same.

Of a client only its standpoint matters: the labels and networks of the workload that it calls for, and whether it is
a proxy. All clients of one standpoint have one world, but for listeners of proxies that have addresses of their own.
It is made in a thread, since thousands of services take longer than requests should wait; and what is made is of the
newest state, always.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

import structlog
import trio

from composemesh.model.problem import Problem
from composemesh.model.snapshot import Snapshot
from composemesh.model.workload import Discovered
from composemesh.runtime.latest import Latest
from composemesh.xds.messages import load
from composemesh.xds.resources import Generated, Node, generate
from composemesh.xds.resources.view import Standpoint, running_in, standpoint

log = structlog.get_logger()

MOST_ASKERS = 1024
"""Different clients, present or lately seen."""
KEPT = 60.0
"""Seconds for which a world is kept up to date that nobody holds: who polls comes back."""


class TooMany(Exception):
    """There are more clients than anybody means."""


class _Point(NamedTuple):
    """Where a client stands."""

    seen: Hashable
    """All that decides on what it sees."""
    own: str
    """Whose name its own addresses are made of; empty where it has none, being no proxy, or one that connections are
    redirected to."""


@dataclass(eq=False, slots=True)
class _Asker:
    """All clients that say the same of themselves."""

    node: Node
    world: Latest[Generated]
    point: _Point | None = None
    """None until its first world is made."""
    holders: int = 0
    left: float = 0.0


@dataclass(frozen=True, slots=True)
class _Made:
    """The world of one standpoint, and what it was made of."""

    node: Node
    state: tuple[Snapshot, Discovered]
    world: Generated

    def is_of(self, state: tuple[Snapshot, Discovered]) -> bool:
        """Whether it was made of these very values."""
        return all(one is other for one, other in zip(self.state, state, strict=True))


class Worlds:
    """The worlds of all clients."""

    def __init__(self, snapshot: Latest[Snapshot], discovered: Latest[Discovered]) -> None:
        self._snapshot = snapshot
        self._discovered = discovered
        self._askers: dict[Hashable, _Asker] = {}
        self._made: dict[_Point, _Made] = {}
        self._making = trio.Lock()

    def __repr__(self) -> str:
        return f"<Worlds {len(self._made)} for {len(self._askers)} askers>"

    async def run(self) -> None:
        """Follow the configuration and what runs, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow, self._snapshot)
            nursery.start_soon(self._follow, self._discovered)

    @asynccontextmanager
    async def of(self, node: Node) -> AsyncIterator[Latest[Generated]]:
        """What this client is to have, now and, while the context is open, later.

        Raises TooMany; and what `generate` raises, if the first world can't be made.
        """
        key = (node.stands_for, node.proxyless, node.listen)
        asker = self._askers.get(key)
        if asker is None:
            self._forget()
            if len(self._askers) >= MOST_ASKERS:
                raise TooMany
            asker = self._askers[key] = _Asker(node, Latest(Generated()))
        asker.holders += 1
        try:
            if asker.point is None:
                async with self._making:
                    await self._make([asker])
            yield asker.world
        finally:
            asker.holders -= 1
            asker.left = trio.current_time()

    def problems(self) -> list[Problem]:
        """What can't be said to clients, of all that is configured."""
        return list(dict.fromkeys(problem for made in self._made.values() for problem in made.world.problems))

    async def _follow(self, feed: Latest[Snapshot] | Latest[Discovered]) -> None:
        seen = feed.version
        while True:
            seen = await feed.after(seen)
            async with self._making:
                self._forget()
                try:
                    await self._make(list(self._askers.values()))
                except Exception as problem:
                    log.error("xds worlds not made", problem=repr(problem))  # what was made last stays

    async def _make(self, askers: list[_Asker]) -> None:
        state = self._snapshot.value, self._discovered.value
        points = await trio.to_thread.run_sync(_standpoints, *state, [each.node for each in askers])
        groups: dict[_Point, list[_Asker]] = {}
        for asker, point in zip(askers, points, strict=True):
            groups.setdefault(point, []).append(asker)
        current = {point.seen: made for point, made in self._made.items() if made.is_of(state)}
        for point, group in groups.items():
            made = self._made.get(point)
            if made is None or not made.is_of(state):
                node, before = (made.node, made.world) if made is not None else (group[0].node, None)
                like = current[point.seen].world if point.seen in current else None
                made = _Made(node, state, await trio.to_thread.run_sync(generate, *state, node, before, like))
                self._made[point] = current[point.seen] = made
            for asker in group:
                asker.point = point
                asker.world.publish(made.world)

    def _forget(self) -> None:
        """Let go of those whom nobody has asked for lately, and of worlds that nobody has."""
        long_ago = trio.current_time() - KEPT
        self._askers = {key: each for key, each in self._askers.items() if each.holders or each.left > long_ago}
        held = {each.point for each in self._askers.values()}
        self._made = {point: made for point, made in self._made.items() if point in held}


def _standpoints(snapshot: Snapshot, discovered: Discovered, nodes: list[Node]) -> list[_Point]:
    load()  # the first client brings protobuf along, and its 50 ms belong in this thread
    running = running_in(snapshot, discovered)
    return [_point(node, standpoint(node, running)) for node in nodes]


def _point(node: Node, stands: Standpoint) -> _Point:
    seen = (frozenset(stands.labels.items()), stands.networks, node.proxyless, node.listen)
    return _Point(seen, "" if node.proxyless or node.redirected else next(iter(node.stands_for), node.id))
