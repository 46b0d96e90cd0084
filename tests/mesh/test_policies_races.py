"""Whatever a request is doing under its policies when it is cancelled: counts come out even, and nobody is stuck."""

from __future__ import annotations

import itertools
import random

import pytest
import trio
import trio.testing

from composemesh.model.policy import ConnectionLimits, OutlierDetection, Retry
from mesh.http2 import Peer
from mesh.net import GET, OK, Net, ask
from mesh.policy import NO, POST, bound, in_turn, say
from mesh.test_policies_http2 import App, cancel, fine, refuse
from mesh.test_races import CutAt

RETRY = Retry(attempts=2, on=frozenset({"5xx", "reset", "connect-failure"}), back_off=0.001, per_try_timeout=5.0)
TIGHT = ConnectionLimits(max_connections=1, max_pending_requests=8, max_requests=8, max_retries=8)
STREAMED = POST[:-2]
ENDINGS = {GET: b"", POST: b"", STREAMED: b"hi"}


async def gone(net: Net) -> None:
    """Wait until no caller is left."""
    with trio.fail_after(10):
        while any(sidecar.connections for sidecar in net.fleet.sidecars.values()):
            await trio.lowlevel.checkpoint()


async def even(net: Net) -> None:
    """Nothing is counted but connections that wait for the next request, and those are there."""
    await trio.testing.wait_all_tasks_blocked(0.005)
    limits = bound(net).limits
    assert limits is not None
    idle = sum(len(pool._idle) for pool in limits.pools)
    assert (limits.requests, limits.retries, limits.connections, len(limits.queue)) == (0, 0, idle, 0)
    assert all(endpoint.active == 0 for endpoint in net.fleet.planner.endpoints.values())


@pytest.mark.parametrize("request_bytes", ENDINGS)
async def test_cancelled_at_any_step_a_request_leaves_every_count_even(net: Net, request_bytes: bytes) -> None:
    """Two requests share the one connection there may be, and first tries fail: once for each step that they have."""
    app = net.add("app")
    say(net, retry=RETRY, connections=TIGHT, outliers=OutlierDetection(consecutive_5xx=0))
    await net.serve(app, in_turn(*[NO, OK, b""] * 400, OK))
    for step in range(1, 400):
        cut = CutAt(net, step)
        first, second = await net.connect(app), await net.connect(app)
        trio.lowlevel.add_instrument(cut)
        try:
            for client in (first, second):
                await client.send_all(request_bytes)
            if ENDINGS[request_bytes]:
                await trio.testing.wait_all_tasks_blocked()
                for client in (first, second):
                    await client.send_all(ENDINGS[request_bytes])
            for client in (first, second):
                with trio.fail_after(10):
                    answer = b""
                    while not answer.endswith((b"ok", b"no", b")\n")) and (more := await client.receive_some()):
                        answer += more
        except trio.BrokenResourceError:
            pass
        finally:
            trio.lowlevel.remove_instrument(cut)
        for client in (first, second):
            await client.aclose()
        await gone(net)
        await even(net)
        if cut.left > 0:
            break
    else:
        raise AssertionError("a request has no four hundred steps")
    assert step > 10


async def test_while_policies_change_and_callers_come_and_go_all_is_counted(net: Net) -> None:
    chance = random.Random(1)
    apps = [net.add("app") for _ in range(3)]
    for app in apps:
        await net.serve(app, in_turn(*[OK, OK, NO, b""] * 2000, OK))
    say(net, retry=RETRY, connections=TIGHT)
    answered = 0

    async def call() -> None:
        nonlocal answered
        while answered < 100:
            client = await net.connect(chance.choice(apps))
            with trio.move_on_after(chance.random() * 0.02):
                try:
                    for _ in range(3):
                        answer = await ask(client, chance.choice([GET, POST]), b"\r\n\r\n"[:0])
                        answered += answer.startswith(b"HTTP/1.1 ")
                except (AssertionError, trio.BrokenResourceError):
                    pass
            await client.aclose()

    async def change() -> None:
        for number in itertools.count(1):
            limits = ConnectionLimits(max_connections=number % 3 + 1, max_requests=8, max_pending_requests=8)
            outliers = OutlierDetection(consecutive_5xx=2, base_ejection_time=0.01, max_ejection_percent=100)
            say(
                net,
                retry=RETRY if number % 2 else None,
                connections=None if number % 7 == 0 else limits,
                outliers=outliers if number % 3 else None,
            )
            await trio.sleep(0.01)

    with trio.fail_after(60):
        async with trio.open_nursery() as changes:
            changes.start_soon(change)
            async with trio.open_nursery() as nursery:
                for _ in range(6):
                    nursery.start_soon(call)
            changes.cancel_scope.cancel()
    say(net, retry=RETRY, connections=TIGHT)
    await gone(net)
    await even(net)


async def test_streams_that_are_refused_cancelled_and_given_up_leave_every_count_even(net: Net) -> None:
    chance = random.Random(2)
    app = App(*[chance.choice([fine, refuse, cancel]) for _ in range(500)], fine)
    workload = net.add("app")
    limits = ConnectionLimits(
        max_connections=2, max_requests=50, max_concurrent_streams=3, max_requests_per_connection=7
    )
    say(net, retry=Retry(attempts=1, on=frozenset({"refused-stream"}), back_off=0.001), connections=limits)
    await net.serve(workload, app)
    for _ in range(10):
        client = Peer(await net.connect(workload), client=True)
        numbers = [client.ask(method=b"POST", end=chance.random() < 0.5) for _ in range(12)]
        await client.flush()
        await trio.sleep(chance.random() * 0.01)
        for number in numbers:
            if chance.random() < 0.3:
                client.h2.reset_stream(number, 8)
        await client.flush()
        await trio.sleep(chance.random() * 0.01)
        await client.stream.aclose()
    await gone(net)
    await trio.testing.wait_all_tasks_blocked(0.005)
    counted = bound(net).limits
    assert counted is not None
    links = sum(not link.closed for pool in counted.pools for link in pool._links)
    assert (counted.requests, counted.retries, counted.connections, len(counted.queue)) == (0, 0, links, 0)
    client = Peer(await net.connect(workload), client=True)
    app.steps = [fine]
    client.ask()
    await client.flush()
    assert (await client.answer())[1] == b"ok"
