"""Sinks of the configuration: started, changed and ended live; what they do wrong stays with them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from composemesh.model.peer import Peer
from composemesh.model.problem import Severity
from composemesh.model.snapshot import MeshSettings, Snapshot
from composemesh.runtime.latest import Latest
from composemesh.telemetry.hub import Hub
from composemesh.telemetry.records import MOST_WAITING, TOGETHER, Records
from composemesh.telemetry.sinks.running import GRACE, Sinks
from unit.telemetry.conftest import Tell


class Keeper:
    """Keeps the paths it is told of, under a mark; hands over its last words when the records end."""

    def __init__(self, mark: str, kept: list[str]) -> None:
        self.mark, self.kept = mark, kept

    async def run(self, records: Records) -> None:
        async for record in records:
            self.kept.append(f"{self.mark} {record.destination.service}")
        await trio.sleep(0.1)
        self.kept.append(f"{self.mark} ended")


class Failing(Keeper):
    """Takes one record, and raises."""

    problem: BaseException = ValueError("no such host")

    async def run(self, records: Records) -> None:
        (record,) = await records.take(1)
        self.kept.append(record.destination.service)
        raise self.problem


class Hanging(Keeper):
    """Never takes a record, nor notices the end."""

    async def run(self, records: Records) -> None:
        await trio.sleep_forever()


class Returning(Keeper):
    """Believes that there is nothing to do."""

    async def run(self, records: Records) -> None:
        await trio.lowlevel.checkpoint()


def naming(**sinks: str) -> Snapshot:
    return Snapshot("shop", MeshSettings(sinks=sinks))


async def test_sinks_come_change_and_go_with_the_configuration(
    hub: Hub, tell: Tell, peer: Callable[..., Peer], autojump_clock: MockClock
) -> None:
    kept: list[str] = []
    heard: list[list[str]] = []
    snapshot = Latest(naming())
    sinks = Sinks(hub, lambda name, config: Keeper(config, kept))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sinks.run, snapshot)
        for configured in (naming(), naming(one="A"), naming(one="A", two="B"), naming(one="C", two="B"), naming()):
            snapshot.publish(configured)
            await trio.testing.wait_all_tasks_blocked()
            tell(peer("a"), peer("b"))
            await trio.sleep(2 * TOGETHER)
            heard.append(sorted(kept))
            kept.clear()
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert heard == [[], ["A b"], ["A b", "B b"], ["B b", "C b"], []]
    assert sorted(kept) == ["A ended", "B ended", "C ended"], "each had the time for its last words"
    assert hub.feeds == ()


async def test_the_end_of_the_mesh_leaves_time_for_what_waits(
    hub: Hub, tell: Tell, peer: Callable[..., Peer], autojump_clock: MockClock
) -> None:
    kept: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Sinks(hub, lambda name, config: Keeper(config, kept)).run, Latest(naming(one="A")))
        await trio.testing.wait_all_tasks_blocked()
        tell(peer("a"), peer("b"))
        nursery.cancel_scope.cancel()
    assert kept == ["A b", "A ended"]


@pytest.mark.parametrize("problem", [ValueError("no such host"), SystemExit(3), ExceptionGroup("x", [OSError("y")])])
async def test_a_sink_that_raises_starts_again_and_is_named(
    hub: Hub, tell: Tell, peer: Callable[..., Peer], autojump_clock: MockClock, problem: BaseException
) -> None:
    kept: list[str] = []
    made = 0

    def make(name: str, config: str) -> Failing:
        nonlocal made
        made += 1
        sink = Failing(config, kept)
        sink.problem = problem
        return sink

    sinks = Sinks(hub, make)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sinks.run, Latest(naming(one="A")))
        await trio.testing.wait_all_tasks_blocked()
        for number in range(5):
            tell(peer("a"), peer(f"b{number}"))
        began = trio.current_time()
        await trio.testing.wait_all_tasks_blocked(0.01)
        await trio.sleep(10)
        (told,) = sinks.problems()
        nursery.cancel_scope.cancel()
    assert kept == [f"b{number}" for number in range(5)], "a start goes on where the last one failed"
    assert made == 6
    assert trio.current_time() - began >= 0.1 + 0.2 + 0.4 + 0.8 + 1.6, "each start waits longer"
    assert (told.severity, told.code, told.resource) == (Severity.WARNING, "sink-failed", "sink one")
    assert type(problem).__name__ in told.message


async def test_a_sink_that_hangs_loses_records_and_holds_up_nobody(
    hub: Hub, tell: Tell, peer: Callable[..., Peer], autojump_clock: MockClock
) -> None:
    kept: list[str] = []
    sinks = Sinks(hub, lambda name, config: {"one": Hanging, "two": Keeper}[name](config, kept))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sinks.run, Latest(naming(one="A", two="B")))
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(2 * MOST_WAITING):
            tell(peer("a"), peer("b"))
            if len(sinks.running["two"].records) > 1000:
                await trio.sleep(2 * TOGETHER)
        await trio.sleep(2 * TOGETHER)
        hung = sinks.running["one"].records
        assert (len(hung), hung.lost) == (MOST_WAITING, MOST_WAITING)
        assert len(kept) == 2 * MOST_WAITING
        (told,) = sinks.problems()
        assert told.code == "records-lost"
        assert f"{MOST_WAITING} records" in told.message
        nursery.cancel_scope.cancel()
        ending = trio.current_time()
    assert trio.current_time() - ending == pytest.approx(GRACE, abs=0.01)
    assert hung.lost == 2 * MOST_WAITING, "what it never took is lost, too"


async def test_a_sink_that_returns_too_early_starts_again(hub: Hub, autojump_clock: MockClock) -> None:
    sinks = Sinks(hub, lambda name, config: Returning(config, []))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sinks.run, Latest(naming(one="A")))
        await trio.sleep(1)
        (told,) = sinks.problems()
        nursery.cancel_scope.cancel()
    assert "returned" in told.message


async def test_a_sink_that_cannot_be_made_is_named(hub: Hub, autojump_clock: MockClock) -> None:
    def make(name: str, config: str) -> Keeper:
        raise OSError("no such socket")

    sinks = Sinks(hub, make)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sinks.run, Latest(naming(one="A")))
        await trio.sleep(1)
        (told,) = sinks.problems()
        nursery.cancel_scope.cancel()
    assert "no such socket" in told.message
