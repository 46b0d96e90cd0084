"""The conformance suite of sinks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial

import trio

from composemesh.model.record import Record
from composemesh.telemetry.records import Records
from composemesh.telemetry.sinks.running import GRACE, Sink
from composemesh.testing.broken import Broken, same_object
from composemesh.testing.values import hostile_records, make_record
from composemesh.testing.watch import LONGEST_PAUSE, PATIENCE, attempt, best_pause, settle, stop

MANY = 1000
"""Records of a busy moment."""


async def check_sink(make: Callable[[], Sink], *, microseconds: float = 100.0) -> None:
    """Test that a sink keeps its contract. `make` makes one; it is called for each step.

    The steps: it takes what there is, and returns when the records end; it stays while there are none; it ends when
    it is cancelled, at any point; another one goes on where it stopped; hostile values do not make it raise; it never
    blocks the loop; and a record costs at most `microseconds` of CPU time. Real time passes, a second or less.

    Raises Broken, an AssertionError that says what was seen and what to do.
    """
    same_object(make(), make(), "check_sink")
    await _ends_with_its_records(make, ())
    await _ends_with_its_records(make, [make_record(f"/{number}") for number in range(3)])
    await _ends_with_its_records(make, hostile_records())
    await _stays(make)
    await _can_be_cancelled(make)
    await _is_quick(make, microseconds)


async def _ends_with_its_records(make: Callable[[], Sink], given: Iterable[Record]) -> None:
    sink, records = make(), _holding(given)
    records.end()
    async with attempt(lambda: sink.run(records)) as running:
        with trio.move_on_after(PATIENCE):
            await running.ended.wait()
        if not running.ended.is_set():
            raise Broken(
                sink,
                f"still ran {PATIENCE:g} s after its records had ended.",
                "Return when `async for record in records` is over, or `records.take()` gives an empty list: then "
                f"there is time to hand on what is left, but no more than {GRACE:g} s before run() is cancelled.",
            )
        if running.problem is not None:
            raise Broken(
                sink,
                f"raised {running.problem!r} on records that a mesh may see.",
                "Callers choose paths, names and headers: escape or replace what your protocol cannot carry. "
                "`composemesh.testing.hostile_records()` has them all.",
            ) from running.problem
    if len(records):
        raise Broken(
            sink,
            f"returned and left {len(records)} records behind.",
            "Read until the loop over `records` is over: what is left behind counts as lost.",
        )


async def _stays(make: Callable[[], Sink]) -> None:
    sink, records = make(), Records("checked")
    async with attempt(lambda: sink.run(records)) as running:
        for number in range(3):
            await settle()
            if running.ended.is_set():
                raise Broken(
                    sink,
                    f"ended with {running.problem!r} while there were no records."
                    if running.problem
                    else "returned while there were no records.",
                    "Wait for them: `async for record in records`. A sink that returns is started again and again.",
                )
            records.put(make_record(f"/{number}"))
        await stop(running, sink)


async def _can_be_cancelled(make: Callable[[], Sink]) -> None:
    """At its start, while it waits, and at work; the next one takes over the records each time."""
    records = Records("checked")
    for ticks in (20, 5, 2, 1, 0):
        sink = make()
        for number in range(50):
            records.put(make_record(f"/{number}"))
        async with attempt(partial(sink.run, records)) as running:
            for _ in range(ticks):
                await trio.lowlevel.checkpoint()
            if running.problem is not None:
                raise Broken(
                    sink,
                    f"did not take over from one that was cancelled: {running.problem!r}.",
                    "Open sockets and files in run(), in a `with` block, so that the next sink can open them again.",
                ) from running.problem
            await stop(running, sink)


async def _is_quick(make: Callable[[], Sink], microseconds: float) -> None:
    sink = make()
    best = float("inf")

    async def work() -> None:
        nonlocal best
        records = _holding(make_record(f"/{number}") for number in range(MANY))
        records.end()
        began = time.process_time()
        with trio.move_on_after(PATIENCE):
            await make().run(records)
        best = min(best, (time.process_time() - began) / MANY)

    pause = await best_pause(work)
    if best * 1e6 > microseconds:
        raise Broken(
            sink,
            f"took {best * 1e6:.0f} µs of CPU time a record, and {microseconds:g} are allowed.",
            "Count in run() and hand on sums now and then, or say check_sink(…, microseconds=N) if it is worth it.",
        )
    if pause > LONGEST_PAUSE:
        raise Broken(
            sink,
            f"kept everybody else from running for {pause:.2f} s.",
            "The mesh serves requests on the same thread: no time.sleep, no blocking socket or file. Use trio's, or "
            "await trio.to_thread.run_sync(…).",
        )


def _holding(given: Iterable[Record]) -> Records:
    records = Records("checked")
    for record in given:
        records.put(record)
    return records
