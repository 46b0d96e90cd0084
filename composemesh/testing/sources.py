"""The conformance suite of sources."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import trio

from composemesh.discovery.registry import Source
from composemesh.discovery.soundness import wrong_with
from composemesh.model.workload import Discovered
from composemesh.testing.broken import Broken, same_object
from composemesh.testing.watch import LONGEST_PAUSE, PATIENCE, Attempt, attempt, best_pause, settle, stop

IDLE = 0.5
"""Seconds for which a source is watched while nothing changes."""


class Heard:
    """What a source has published."""

    def __init__(self) -> None:
        self.states: list[Discovered] = []
        self._more = trio.Event()

    def __call__(self, state: Discovered) -> None:
        """Take what the source publishes."""
        self.states.append(state)
        self._more.set()

    async def first(self) -> None:
        """Wait for the first state."""
        await self._more.wait()


async def check_source(make: Callable[[], Source], *, share: float = 0.05) -> Discovered:
    """Test that a source keeps its contract; return what it published last, for tests of your own.

    The steps: it publishes a whole state soon, and every workload in it can be dealt with; it stays, as a source
    does, and idles with at most `share` of a core; it ends when it is cancelled, and is silent from then on; the same
    object can be watched again, and finds the same; it never blocks the loop. Real time passes, a second or two.

    Raises Broken, an AssertionError that says what was seen and what to do.
    """
    same_object(make(), make(), "check_source")
    source = make()
    first = await _publishes(source, share)
    again = await _publishes(source, share)
    if {each.id for each in first.workloads} != {each.id for each in again.workloads}:
        raise Broken(
            source,
            f"found {_names(first)} at first, and {_names(again)} when it was watched again.",
            "Ask anew at each watch(), publish all that is there, and give a workload the same `id` each time.",
        )

    async def look() -> None:
        heard = Heard()
        async with attempt(lambda: make().watch(heard)):
            with trio.move_on_after(PATIENCE):
                await heard.first()

    pause = await best_pause(look)
    if pause > LONGEST_PAUSE:
        raise Broken(
            source,
            f"kept everybody else from running for {pause:.2f} s.",
            "The mesh serves requests on the same thread: no time.sleep, no blocking socket or file. Use trio's, or "
            "await trio.to_thread.run_sync(…).",
        )
    return again


async def _publishes(source: Source, share: float) -> Discovered:
    """One watch from its beginning to its cancellation."""
    heard = Heard()
    async with attempt(lambda: source.watch(heard)) as running:
        with trio.move_on_after(PATIENCE):
            await heard.first()
        _is_well(source, running)
        if not heard.states:
            raise Broken(
                source,
                f"published nothing within {PATIENCE:g} s.",
                "Publish Discovered() where nothing is found: the mesh waits for the first word of every source.",
            )
        began, spent = trio.current_time(), time.process_time()
        await settle(IDLE)
        busy = (time.process_time() - spent) / (trio.current_time() - began)
        _is_well(source, running)
        if busy > share:
            raise Broken(
                source,
                f"used {busy:.0%} of a core while nothing changed.",
                "Wait for an event, or sleep between two looks (a second is often enough).",
            )
        await stop(running, source)
    said = len(heard.states)
    await settle()
    if len(heard.states) > said:
        raise Broken(
            source,
            "went on publishing after it had been cancelled.",
            "Start tasks in a nursery inside watch(), and no threads that outlive it.",
        )
    for state in heard.states:
        _is_sound(source, state)
    return heard.states[-1]


def _is_well(source: Source, running: Attempt) -> None:
    if running.problem is not None:
        raise Broken(
            source,
            f"raised {running.problem!r}.",
            "That is allowed where what it asks is away, and the mesh watches again a little later; but this suite "
            "wants to see it at work.",
        ) from running.problem
    if running.ended.is_set():
        raise Broken(
            source,
            "returned.",
            "Stay for as long as the mesh runs: end with `await trio.sleep_forever()` where nothing can change.",
        )


def _is_sound(source: Source, published: object) -> None:
    """What a source publishes may be anything, whatever its annotations say."""
    state: Any = published
    if not isinstance(state, Discovered):
        raise Broken(source, f"published {state!r:.100}.", "Publish Discovered((workload, …)), always all of them.")
    if type(state.workloads) is not tuple:
        raise Broken(
            source,
            f"published workloads as {type(state.workloads).__name__}.",
            "Give a tuple: the mesh keeps and compares states, and nothing may change them later.",
        )
    if state.trouble and not state.trouble.endswith("."):
        raise Broken(
            source, f"has the trouble {state.trouble!r}.", "Write a sentence: `composemesh status` shows it."
        )
    seen: set[str] = set()
    for workload in state.workloads:
        if wrong := wrong_with(workload):
            raise Broken(source, f"published {workload!r:.300} as a workload.", wrong)
        if workload.id in seen:
            raise Broken(
                source,
                f"published two workloads with the id {workload.id!r}.",
                "Give each one an id of its own, and put your source's name in front: ids of all sources meet.",
            )
        seen.add(workload.id)


def _names(state: Discovered) -> str:
    return ", ".join(sorted(workload.name for workload in state.workloads)) or "nothing"
