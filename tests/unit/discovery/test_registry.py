"""Several sources, one feed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from composemesh.discovery.registry import UNHEARD, Registry, merge
from composemesh.discovery.static import StaticSource
from composemesh.model.workload import Discovered, Impostor, Workload


def workload(name: str, service: str = "web", pid: int = 1) -> Workload:
    return Workload(id=f"id-{name}", name=name, compose_service=service, started="", pid=pid)


class Scripted:
    """A source that publishes what a test sends it, and raises what a test sends it."""

    def __init__(self) -> None:
        self.send, self._receive = trio.open_memory_channel(10)
        self.runs = 0

    def __repr__(self) -> str:
        return "<Scripted>"

    async def watch(self, publish: Callable[[Discovered], object]) -> None:
        self.runs += 1
        async for step in self._receive:
            if isinstance(step, Exception):
                raise step
            publish(step)


@pytest.fixture
async def registry(nursery: trio.Nursery) -> Registry:
    return Registry()


async def until(registry: Registry, condition: Callable[[Discovered], object]) -> None:
    with trio.fail_after(30):
        while not condition(registry.discovered.value):
            await registry.discovered.after(registry.discovered.version)


async def test_a_static_source_says_what_it_was_given(registry: Registry, nursery: trio.Nursery) -> None:
    nursery.start_soon(registry.run, [StaticSource([workload("b"), workload("a")])])
    await until(registry, lambda state: not state.trouble)
    assert [found.name for found in registry.discovered.value.workloads] == ["a", "b"]


async def test_without_sources_nothing_runs(registry: Registry) -> None:
    await registry.run([])
    assert registry.discovered.value == Discovered()


async def test_what_is_known_waits_for_every_source(registry: Registry, nursery: trio.Nursery) -> None:
    slow = Scripted()
    nursery.start_soon(registry.run, (StaticSource([workload("a")]), slow))
    await until(registry, lambda state: state.workloads)
    assert registry.discovered.value.trouble == UNHEARD.trouble
    await slow.send.send(Discovered((workload("b"),), (Impostor("id-x", "x", "evil", "web"),)))
    await until(registry, lambda state: not state.trouble)
    assert [found.name for found in registry.discovered.value.workloads] == ["a", "b"]
    assert [found.name for found in registry.discovered.value.impostors] == ["x"]


async def test_a_source_that_raises_is_called_again_and_its_state_stays(
    registry: Registry, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    source = Scripted()
    nursery.start_soon(registry.run, [source])
    await source.send.send(Discovered((workload("a"),)))
    await until(registry, lambda state: not state.trouble)
    await source.send.send(RuntimeError("out of luck"))
    await until(registry, lambda state: state.trouble)
    assert "out of luck" in registry.discovered.value.trouble
    assert [found.name for found in registry.discovered.value.workloads] == ["a"]
    await source.send.send(Discovered((workload("b"),)))
    await until(registry, lambda state: not state.trouble)
    assert [found.name for found in registry.discovered.value.workloads] == ["b"]
    assert source.runs == 2


async def test_one_sources_trouble_is_not_anothers(
    registry: Registry, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    broken, well = Scripted(), Scripted()
    nursery.start_soon(registry.run, [broken, well])
    await broken.send.send(ValueError("no"))
    await well.send.send(Discovered((workload("a"),)))
    await until(registry, lambda state: "ValueError" in state.trouble and state.workloads)
    assert well.runs == 1


def test_the_earlier_source_is_believed() -> None:
    assert merge([Discovered((workload("a", pid=1),)), Discovered((workload("a", pid=2),))]).workloads[0].pid == 1


def test_the_same_trouble_is_said_once() -> None:
    assert merge([Discovered(trouble="x."), Discovered(trouble="y."), Discovered(trouble="x.")]).trouble == "x. y."


def test_the_order_of_the_sources_answers_does_not_show() -> None:
    first, second = workload("a"), workload("b")
    assert merge([Discovered((second, first))]) == merge([Discovered((first, second))])
