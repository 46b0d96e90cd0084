"""A real Envoy in the place of our own sidecar of a caller: the same requests, and the same comes of them."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from xds.stack import Address, Answer, Envoy, Mesh, Stack, ask, running_bookinfo, running_envoy, until

TRANSPORTS = ("ads", "delta", "rest")
RULES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews}}
spec:
  hosts: [reviews]
  http:
    - match: [{{headers: {{end-user: {{exact: jason}}}}}}]
      route: [{{destination: {{host: reviews, subset: v2}}}}]
      headers: {{response: {{set: {{x-edition: "{edition}"}}}}}}
    - match: [{{headers: {{x-fault: {{exact: abort}}}}}}]
      fault: {{abort: {{httpStatus: 418, percentage: {{value: 100}}}}}}
      route: [{{destination: {{host: reviews, subset: v1}}}}]
    - match: [{{headers: {{x-fault: {{exact: delay}}}}}}]
      fault: {{delay: {{fixedDelay: 400ms, percentage: {{value: 100}}}}}}
      route: [{{destination: {{host: reviews, subset: v1}}}}]
    - match: [{{headers: {{x-slow: {{exact: "yes"}}}}}}]
      timeout: 500ms
      route: [{{destination: {{host: reviews, subset: v3}}}}]
    - route:
        - {{destination: {{host: reviews, subset: v1}}, weight: {v1}}}
        - {{destination: {{host: reviews, subset: v2}}, weight: {v2}}}
      headers: {{response: {{set: {{x-edition: "{edition}"}}}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: reviews}}
spec:
  host: reviews
  subsets:
    - {{name: v1, labels: {{version: v1}}}}
    - {{name: v2, labels: {{version: v2}}}}
    - {{name: v3, labels: {{version: v3}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: ratings}}
spec:
  hosts: [ratings]
  http:
    - match: [{{sourceLabels: {{version: v3}}}}]
      fault: {{delay: {{fixedDelay: 3s, percentage: {{value: 100}}}}}}
      route: [{{destination: {{host: ratings}}}}]
    - route: [{{destination: {{host: ratings}}}}]
"""


def rules(edition: int, v1: int = 90, v2: int = 10) -> str:
    """The rules of all tests; answers carry the edition, so that one sees which is in effect."""
    return RULES.format(edition=edition, v1=v1, v2=v2)


@pytest.fixture
async def bookinfo(tmp_path: Path) -> AsyncIterator[Stack]:
    async with running_bookinfo(tmp_path) as running:
        yield running


class Caller:
    """Whoever calls reviews by way of some data plane."""

    def __init__(self, address: Address) -> None:
        self.address = address

    async def ask(self, **headers: str) -> Answer:
        return await ask(self.address, "/reviews/0", **headers)

    async def sees(self, edition: int) -> None:
        """Wait until an edition of the rules is in effect."""

        async def is_new() -> bool:
            return (await self.ask()).fields.get("x-edition") == str(edition)

        await until(is_new)


async def way(name: str, bookinfo: Stack, mesh: Mesh, folder: Path, nursery: trio.Nursery) -> Caller:
    """The caller's data plane: our own sidecar, or an Envoy that asks in some way."""
    if name == "sidecar":
        return Caller(bookinfo.door("reviews"))
    return Caller((await envoy(name, mesh, folder, nursery)).addresses["reviews"])


async def envoy(transport: str, mesh: Mesh, folder: Path, nursery: trio.Nursery) -> Envoy:
    """One that serves calls to reviews until the nursery is cancelled."""

    async def keep(task_status: trio.TaskStatus[Envoy]) -> None:
        async with running_envoy(mesh, transport, folder) as running:
            await running.serves("reviews")
            task_status.started(running)
            await trio.sleep_forever()

    running: Envoy = await nursery.start(lambda task_status: keep(task_status))
    return running


@pytest.mark.parametrize("name", ["sidecar", *TRANSPORTS])
async def test_rules_mean_the_same_to_all(name: str, bookinfo: Stack, tmp_path: Path) -> None:
    async with bookinfo.mesh() as mesh, trio.open_nursery() as nursery:
        await mesh.apply(rules(1))
        caller = await way(name, bookinfo, mesh, tmp_path, nursery)
        await caller.sees(1)

        pods = Counter([(await caller.ask()).pod for _ in range(200)])
        assert pods.keys() == {"reviews-v1", "reviews-v2"}
        assert 4 <= pods["reviews-v2"] <= 45  # 20, give or take: Envoy throws dice

        assert {(await caller.ask(end_user="jason")).pod for _ in range(10)} == {"reviews-v2"}
        assert (await caller.ask(x_fault="abort")).status == 418
        delayed = await caller.ask(x_fault="delay")
        assert (delayed.status, delayed.seconds > 0.35) == (200, True)  # clocks differ by some milliseconds
        late = await caller.ask(x_slow="yes")
        assert late.status == 504
        assert 0.45 < late.seconds < 2.5
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("name", ["sidecar", *TRANSPORTS])
async def test_weights_change_under_way_and_no_request_fails(name: str, bookinfo: Stack, tmp_path: Path) -> None:
    async with bookinfo.mesh() as mesh, trio.open_nursery() as nursery:
        await mesh.apply(rules(1))
        caller = await way(name, bookinfo, mesh, tmp_path, nursery)
        await caller.sees(1)
        statuses: Counter[int] = Counter()
        done = trio.Event()

        async def keep_asking() -> None:
            while not done.is_set():
                statuses[(await caller.ask()).status] += 1

        async with trio.open_nursery() as readers:
            for _ in range(4):
                readers.start_soon(keep_asking)
            for edition in range(2, 7):
                await mesh.apply(rules(edition, *((0, 100) if edition % 2 else (100, 0))))
                await caller.sees(edition)
            done.set()
        pods = {(await caller.ask()).pod for _ in range(20)}
        assert pods == {"reviews-v1"}
        assert statuses.keys() == {200}
        assert statuses[200] > 20
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("transport", ["ads", "delta"])
async def test_a_resource_that_envoy_refuses_is_named_and_the_rest_goes_on(
    transport: str, bookinfo: Stack, tmp_path: Path
) -> None:
    async with bookinfo.mesh() as mesh, trio.open_nursery() as nursery:
        await mesh.apply(rules(1))
        taken = (await mesh.export(transport, 1))["addresses"]
        details = next((each["address"], each["port"]) for each in taken if each["host"] == "details")
        listener = f"details:{details[1]}"
        with socket.socket() as squatter:  # Envoy can't listen where somebody else does
            squatter.bind(details)
            squatter.listen()
            running = await envoy(transport, mesh, tmp_path, nursery)
            caller = Caller(running.addresses["reviews"])
            await caller.sees(1)

            async def is_named() -> bool:
                said = [each for each in (await mesh.status())["problems"] if each["code"] == "xds-refused"]
                return any(listener in each["message"] for each in said)

            await until(is_named)
            await mesh.apply(rules(2))
            await caller.sees(2)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_envoy_serves_on_without_the_mesh_and_catches_up(
    transport: str, bookinfo: Stack, tmp_path: Path
) -> None:
    async with trio.open_nursery() as nursery:
        async with bookinfo.mesh() as mesh:
            await mesh.apply(rules(1, 100, 0))  # v2 would ask for ratings, and there is nobody who takes it there
            running = await envoy(transport, mesh, tmp_path, nursery)
            caller = Caller(running.addresses["reviews"])
            await caller.sees(1)
        for _ in range(20):
            assert (await caller.ask(x_fault="abort")).status == 418
            assert (await caller.ask(end_user="nobody")).fields["x-edition"] == "1"
        async with bookinfo.mesh() as mesh:
            assert (await caller.ask()).fields["x-edition"] == "1"
            await mesh.apply(rules(2))
            await caller.sees(2)
        nursery.cancel_scope.cancel()
