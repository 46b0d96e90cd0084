"""What takes long holds up no request. A stretch of the loop is told in its thread's own time: others may be busy."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

import pytest
import trio

from composemesh.config.publish import Publisher
from composemesh.config.resources import compile_resources, load_documents
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
