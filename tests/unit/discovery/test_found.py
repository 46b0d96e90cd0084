"""Sources of plugins: followed as the configuration says, believed as far as they may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from composemesh.discovery.found import MOST, FoundSources
from composemesh.discovery.registry import Registry
from composemesh.discovery.static import StaticSource
from composemesh.model.snapshot import MeshSettings, ServiceSettings, Snapshot
from composemesh.model.workload import HOST, Discovered, Kind, Workload
from composemesh.plugin import Source
from composemesh.runtime.latest import Latest
from composemesh.testing import make_workload

OWN = make_workload("shop-reviews-1", "reviews", "172.18.0.2", network="shop")
PRINTER = make_workload("printer-1", "printer", "10.0.0.7")


class Saying:
    """Publishes what it is configured with, then does what it is told."""

    def __init__(self, config: tuple[Workload, ...], then: Callable[[], object] | None = None) -> None:
        self.config, self.then = config, then

    async def watch(self, publish: Callable[[Discovered], object]) -> None:
        publish(Discovered(self.config))
        if self.then is not None:
            self.then()
        await trio.sleep_forever()


def naming(**sources: Any) -> Snapshot:
    return Snapshot("shop", MeshSettings(sources=sources), names=frozenset({"reviews", "ratings"}))


class Mesh:
    """A registry with the project's own workload and the sources of a configuration."""

    def __init__(
        self, nursery: trio.Nursery, make: Callable[[str, Any], Source] = lambda name, config: Saying(config)
    ) -> None:
        self.snapshot = Latest(naming())
        self.found = FoundSources(make)
        self.registry = Registry()
        nursery.start_soon(self.registry.run, (StaticSource([OWN]), self.found))
        nursery.start_soon(self.found.follow, self.snapshot, self.registry.discovered)

    async def configured(self, **sources: Any) -> list[str]:
        """The names of everything that runs, once this is configured."""
        self.snapshot.publish(naming(**sources))
        await trio.testing.wait_all_tasks_blocked()
        return [workload.name for workload in self.registry.discovered.value.workloads]


async def test_sources_come_change_and_go_with_the_configuration(nursery: trio.Nursery) -> None:
    mesh = Mesh(nursery)
    other = replace(PRINTER, id="2", name="printer-2")
    assert await mesh.configured() == ["shop-reviews-1"]
    assert await mesh.configured(one=(PRINTER,)) == ["printer-1", "shop-reviews-1"]
    assert await mesh.configured(one=(PRINTER, other)) == ["printer-1", "printer-2", "shop-reviews-1"]
    assert await mesh.configured(one=(other,)) == ["printer-2", "shop-reviews-1"]
    assert await mesh.configured() == ["shop-reviews-1"]
    assert mesh.registry.discovered.value.trouble == ""


async def test_what_is_found_is_known_as_found_and_reached_from_this_host(nursery: trio.Nursery) -> None:
    mesh = Mesh(nursery)
    await mesh.configured(one=(replace(PRINTER, pid=1, network_mode="host"),))
    (found, _) = mesh.registry.discovered.value.workloads
    assert (found.id, found.kind, found.pid) == ("one:printer-1", Kind.FOUND, 0)
    assert [(place.network, place.addresses) for place in found.attachments] == [(HOST, ("10.0.0.7",))]


@pytest.mark.parametrize("name", ["reviews", "REVIEWS", "ratings", "shop-reviews-1"])
async def test_nobody_takes_a_name_of_the_projects_own(nursery: trio.Nursery, name: str) -> None:
    mesh = Mesh(nursery)
    assert await mesh.configured(one=(replace(PRINTER, compose_service=name), PRINTER)) == [
        "printer-1",
        "shop-reviews-1",
    ]
    (problem,) = mesh.found.problems()
    assert problem.code == "left-out"
    assert f"The project has a service {name.lower()} of its own." in problem.message


async def test_a_name_that_becomes_the_projects_own_is_taken_back(nursery: trio.Nursery) -> None:
    mesh = Mesh(nursery)
    assert len(await mesh.configured(one=(PRINTER,))) == 2
    snapshot = mesh.snapshot.value
    mesh.snapshot.publish(replace(snapshot, services={"laser": ServiceSettings("printer")}))
    await trio.testing.wait_all_tasks_blocked()
    assert mesh.registry.discovered.value.workloads == (OWN,)


async def test_the_first_source_keeps_a_name_and_several_instances_are_one_service(nursery: trio.Nursery) -> None:
    mesh = Mesh(nursery)
    second = replace(PRINTER, id="2", name="printer-2")
    copy = replace(PRINTER, id="3", name="copy")
    assert await mesh.configured(one=(PRINTER, second), two=(copy,)) == ["printer-1", "printer-2", "shop-reviews-1"]
    (problem,) = mesh.found.problems()
    assert "The source one has found a service printer already." in problem.message


async def test_what_cannot_be_a_workload_is_left_out_and_named(nursery: trio.Nursery) -> None:
    mesh = Mesh(nursery)
    wrong = (
        replace(PRINTER, id="2", name="a\x1b[2J"),
        replace(PRINTER, id="3", attachments=()),
        replace(PRINTER, id="4", ports=(70000,)),
    )
    assert await mesh.configured(one=(*wrong, PRINTER)) == ["printer-1", "shop-reviews-1"]
    messages = [problem.message for problem in mesh.found.problems()]
    assert len(messages) == 3
    assert all(message.isprintable() for message in messages)


async def test_a_flood_is_bounded_and_told_in_a_few_lines(nursery: trio.Nursery) -> None:
    mesh = Mesh(nursery)
    many = tuple(replace(PRINTER, id=str(number), name=f"p{number}") for number in range(MOST + 10))
    bad = tuple(replace(PRINTER, id=f"bad-{number}", name="") for number in range(100))
    assert len(await mesh.configured(one=many, two=bad)) == MOST + 1
    problems = list(mesh.found.problems())
    assert len(problems) == 1 + 20 + 1
    assert "10 workloads more than the 4096" in problems[0].message
    assert "80 more" in problems[-1].message


def raising() -> None:
    raise OSError("connection refused")


def leaving() -> None:
    raise SystemExit(3)


@pytest.mark.parametrize(("then", "words"), [(raising, "connection refused"), (leaving, "SystemExit(3)")])
async def test_one_that_raises_is_watched_again_and_what_it_said_stands(
    autojump_clock: MockClock, then: Callable[[], object] | None, words: str
) -> None:
    made = 0

    def make(name: str, config: tuple[Workload, ...]) -> Saying:
        nonlocal made
        made += 1
        return Saying(config, then)

    async with trio.open_nursery() as nursery:
        mesh = Mesh(nursery, make)
        mesh.snapshot.publish(naming(one=(PRINTER,)))
        await trio.sleep(2)
        assert made >= 4
        assert len(mesh.registry.discovered.value.workloads) == 2
        (problem,) = mesh.found.problems()
        assert problem.code == "source-failed"
        assert words in problem.message
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("state", ["nonsense", (PRINTER,), Discovered(("nonsense",))])  # type: ignore[arg-type]
async def test_nonsense_is_its_own_trouble(nursery: trio.Nursery, state: Any) -> None:
    class Nonsense:
        async def watch(self, publish: Callable[[Discovered], object]) -> None:
            publish(state)
            await trio.sleep_forever()

    mesh = Mesh(nursery, lambda name, config: Nonsense())
    assert await mesh.configured(one=None) == ["shop-reviews-1"]
    (problem,) = mesh.found.problems()
    assert problem.code in ("source-failed", "left-out")


async def test_one_that_cannot_be_made_is_named(nursery: trio.Nursery) -> None:
    def make(name: str, config: object) -> Saying:
        raise ValueError("no such region")

    mesh = Mesh(nursery, make)
    assert await mesh.configured(one=None) == ["shop-reviews-1"]
    (problem,) = mesh.found.problems()
    assert "no such region" in problem.message


async def test_trouble_of_a_source_is_a_warning(nursery: trio.Nursery) -> None:
    class Stale:
        async def watch(self, publish: Callable[[Discovered], object]) -> None:
            publish(Discovered(trouble="The registry is away."))
            await trio.sleep_forever()

    mesh = Mesh(nursery, lambda name, config: Stale())
    await mesh.configured(one=None)
    (problem,) = mesh.found.problems()
    assert (problem.code, problem.message) == ("source-stale", "The source one: The registry is away.")
    assert mesh.registry.discovered.value.trouble == ""
