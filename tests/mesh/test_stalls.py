"""What takes long holds up no request. A stretch of the loop is told in its thread's own time: others may be busy."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

import pytest
import trio

from composemesh.admin.mesh_view import MeshView
from composemesh.admin.sampling import Sampler
from composemesh.config.publish import Publisher
from composemesh.config.resources import compile_resources, load_documents
from composemesh.model.peer import Peer, PeerKind
from composemesh.model.record import Record
from composemesh.model.workload import Discovered, Workload
from composemesh.runtime.latest import Latest
from composemesh.telemetry.hub import Hub
from composemesh.telemetry.window import SECONDS
from mesh.net import Net
from mesh.routes import add_versions, connect

RULES = """
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: s%d}
spec:
  hosts: [s%d.example.com]
  http:
  - match: [{headers: {end-user: {exact: jason}}, uri: {prefix: /a}}]
    route: [{destination: {host: reviews, subset: v1}}]
  - route: [{destination: {host: reviews, subset: v1}, weight: 90}, {destination: {host: reviews}, weight: 10}]
    timeout: 2s
    retries: {attempts: 3, retryOn: 5xx}
"""
SUBSETS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}
"""


class Stretches(trio.abc.Instrument):
    """How long the loop runs from one look at its sockets to the next."""

    def __init__(self) -> None:
        self.longest = 0.0
        """Seconds of the processor."""
        self._began = time.thread_time()

    def after_io_wait(self, timeout: float) -> None:
        self._began = time.thread_time()

    def before_io_wait(self, timeout: float) -> None:
        self.longest = max(self.longest, time.thread_time() - self._began)


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """It looks through all that the tests before have left, in whichever thread its turn comes."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def test_a_quarter_of_a_megabyte_is_applied_while_requests_are_served(net: Net) -> None:
    """Compiled on the loop, it is one stretch as long as the compilation, in which nobody is answered."""
    callee = (await add_versions(net, "v1"))["v1"]
    client, another = await connect(net, callee), await connect(net, callee)
    publisher = Publisher("test", net.discovered)
    await publisher.load()
    text = SUBSETS + "".join(RULES % (number, number) for number in range(650))
    assert len(text) > 256 << 10
    resources, problems = load_documents(text)
    assert not problems
    again, _ = load_documents(text)
    began = time.thread_time()
    assert compile_resources(again, "test", ["reviews"]).sound
    compiling = time.thread_time() - began
    answers = 0

    async def ask(*, task_status: trio.TaskStatus[None]) -> None:
        nonlocal answers
        task_status.started()
        while True:
            assert (await client.ask()).status == 200
            answers += 1

    async def follow() -> None:
        async for snapshot in publisher.snapshot:
            net.snapshot.publish(snapshot)

    stretches = Stretches()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await nursery.start(ask)
        trio.lowlevel.add_instrument(stretches)
        change = await publisher.change(resources)
        meanwhile = answers
        assert (await another.ask()).status == 200  # by the new plan
        trio.lowlevel.remove_instrument(stretches)
        nursery.cancel_scope.cancel()
    assert (change.accepted, len(change.created)) == (True, 651)
    assert stretches.longest < compiling / 3  # less than a tenth, as seen
    assert meanwhile > 3


async def test_a_thousand_edges_are_shown_while_requests_are_served(net: Net) -> None:
    """Somebody has the page open. Every edge has had traffic of many latencies in each second of the last minute."""
    now = 1000.0
    hub = Hub(lambda: now)
    peers = [Peer(f"s{number}", "v1", f"w{number}", PeerKind.SERVICE, captured=True) for number in range(100)]
    records = []
    for number in range(1000):
        record = Record(peers[number // 10], peers[(number // 10 + number % 10 + 1) % 100], "http")
        record.response_code = 200
        records.append(record)
    for _ in range(SECONDS):
        now += 1
        for record in records:
            for latency in range(12):
                record.duration = 0.001 * 1.2**latency
                hub.tell(record)
    running = Discovered(tuple(Workload(f"id-{one.service}", one.workload, one.service, "1", 1) for one in peers))
    view = MeshView("test", Latest(running), net.snapshot, net.captures, Latest(()), hub)
    client = await connect(net, (await add_versions(net, "v1"))["v1"])
    sampler = Sampler(view)
    answers = 0

    async def ask() -> None:
        nonlocal answers
        while True:
            assert (await client.ask()).status == 200
            answers += 1

    stretches = Stretches()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        trio.lowlevel.add_instrument(stretches)
        sample = await sampler.look(SECONDS)
        before, meanwhile = sample, answers
        while sample is before:
            now += 1
            await trio.sleep_until(sample.due)
            sample = await sampler.look(SECONDS)
            assert sample.since(before, changes=True)
        await trio.lowlevel.checkpoint()
        trio.lowlevel.remove_instrument(stretches)
        nursery.cancel_scope.cancel()
    assert len(sample.values["graph"]["edges"]) == 1000
    assert {edge["requests"] for edge in sample.values["graph"]["edges"]} == {12 * (SECONDS - 1)}
    assert meanwhile > 0  # between the pieces of the first look, which adds up all those seconds
    assert stretches.longest < 0.06  # 0.25 where each look adds up the whole minute; 0.01 as seen
