"""Worlds are made once for all who see the same, and stay the newest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing

from composemesh.model.workload import Discovered
from composemesh.runtime.latest import Latest
from composemesh.xds import worlds as module
from composemesh.xds.resources import CLUSTER, ENDPOINT, LISTENER, Generated, Node, generate
from composemesh.xds.worlds import KEPT, TooMany, Worlds
from unit.xds.meshes import SHOP, snapshot, workload

PROXYLESS = {"GENERATOR": "grpc"}


class Mesh:
    """The feeds, the worlds that follow them, and how often one was made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.snapshot = Latest(snapshot())
        self.discovered = Latest(SHOP)
        self.worlds = Worlds(self.snapshot, self.discovered)
        self.made: list[str] = []
        self.broken = False

        def counting(*args: Any) -> Generated:
            self.made.append(args[2].id)
            if self.broken:
                raise ZeroDivisionError
            return generate(*args)

        monkeypatch.setattr(module, "generate", counting)


@pytest.fixture
async def mesh(monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery) -> AsyncIterator[Mesh]:
    made = Mesh(monkeypatch)
    nursery.start_soon(made.worlds.run)
    await trio.testing.wait_all_tasks_blocked()
    yield made
    nursery.cancel_scope.cancel()


async def test_all_of_one_standpoint_have_one_world(mesh: Mesh) -> None:
    nodes = [Node(f"client-{number}", "", "grpc", PROXYLESS) for number in range(10)]
    async with mesh.worlds.of(nodes[0]) as first:
        for node in nodes[1:]:
            async with mesh.worlds.of(node) as other:
                assert other.value is first.value
    assert mesh.made == ["client-0"]


async def test_proxies_with_addresses_of_their_own_share_everything_else(mesh: Mesh) -> None:
    """And what they share is what would be made for each alone, also when services come and go."""
    nodes = [Node("one"), Node("two")]
    async with mesh.worlds.of(nodes[0]) as one, mesh.worlds.of(nodes[1]) as two:
        for discovered in (SHOP, Discovered(SHOP.workloads[1:]), Discovered((*SHOP.workloads, workload("late", 8)))):
            seen = one.version, two.version
            if mesh.discovered.publish(discovered):
                with trio.fail_after(10):
                    await one.after(seen[0])
                    await two.after(seen[1])
            assert dict(two.value) == dict(generate(mesh.snapshot.value, discovered, nodes[1]))
            assert two.value[CLUSTER] is one.value[CLUSTER]
            assert two.value[LISTENER] != one.value[LISTENER]


async def test_another_network_or_label_is_another_standpoint(mesh: Mesh) -> None:
    far = workload("far", 9, network="elsewhere")
    mesh.discovered.publish(Discovered((*SHOP.workloads, far)))
    async with (
        mesh.worlds.of(Node("productpage", metadata=PROXYLESS)) as near,
        mesh.worlds.of(Node("far", metadata=PROXYLESS)) as other,
    ):
        assert near.value[ENDPOINT] != other.value[ENDPOINT]


async def test_worlds_follow_what_changes(mesh: Mesh) -> None:
    async with mesh.worlds.of(Node("one")) as world:
        before = world.value
        seen = world.version
        mesh.discovered.publish(Discovered((*SHOP.workloads, workload("late", 8))))
        with trio.fail_after(10):
            await world.after(seen)
        assert len(world.value[CLUSTER]) == len(before[CLUSTER]) + 1


async def test_a_bug_in_making_keeps_the_last_world(mesh: Mesh) -> None:
    async with mesh.worlds.of(Node("one")) as world:
        before = world.value
        mesh.broken = True
        with structlog.testing.capture_logs() as logs:
            mesh.discovered.publish(Discovered((*SHOP.workloads, workload("late", 8))))
            with trio.fail_after(10):
                while not logs:  # noqa: ASYNC110
                    await trio.sleep(0.002)
        assert logs[0]["event"] == "xds worlds not made"
        assert world.value is before
        mesh.broken = False
        seen = world.version
        mesh.discovered.publish(Discovered((*SHOP.workloads, workload("later", 9))))
        with trio.fail_after(10):
            await world.after(seen)


async def test_a_crowd_is_bounded_and_forgotten(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ASKERS", 2)
    async with mesh.worlds.of(Node("one")), mesh.worlds.of(Node("two")):
        with pytest.raises(TooMany):
            async with mesh.worlds.of(Node("three")):
                pass
    with pytest.raises(TooMany):  # who polls comes back
        async with mesh.worlds.of(Node("three")):
            pass
    monkeypatch.setattr(module, "KEPT", 0.0)
    assert KEPT > 0
    async with mesh.worlds.of(Node("three")):
        pass


async def test_what_cannot_be_said_is_told_once(mesh: Mesh) -> None:
    mesh.discovered.publish(Discovered((*SHOP.workloads, workload("mute", 8, ports=()))))
    async with mesh.worlds.of(Node("one")), mesh.worlds.of(Node("two")):
        told = [problem for problem in mesh.worlds.problems() if "mute" in problem.message]
        assert len(told) == 1
