"""How much may be under way at a time (connectionPool): too much is refused, and who may wait, waits in turn."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from composemesh.model.flag import Flag
from composemesh.model.policy import ConnectionLimits, Subset, TrafficPolicy
from composemesh.model.snapshot import Protocol
from composemesh.proxy.limits import Limits
from mesh.net import GET, OK, Net, answering, ask, read_all, read_until
from mesh.policy import Gate, bound, in_turn, say


def limits_of(net: Net, subset: str = "") -> Limits:
    limits = bound(net, subset).limits
    assert limits is not None
    return limits


async def idle(net: Net) -> None:
    """Wait until nothing is under way, but connections that wait for the next request."""
    await trio.testing.wait_all_tasks_blocked(0.002)
    limits = limits_of(net)
    assert (limits.requests, limits.retries) == (0, 0)


async def test_one_request_too_many_is_refused_at_once(net: Net) -> None:
    app, gate = net.add("app"), Gate(OK)
    say(net, connections=ConnectionLimits(max_requests=2))
    await net.serve(app, gate)
    under_way = [await net.connect(app) for _ in range(2)]
    for client in under_way:
        await client.send_all(GET)
    await gate.came(2)

    third = await net.connect(app)
    answer = await ask(third, GET, b"(UO)")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nx-envoy-overloaded: true\r\n" in answer
    assert b"\r\nx-composemesh-flag: UO\r\n" in answer
    record = await net.records.next()
    assert (record.flag, record.response_code) == (Flag.UPSTREAM_OVERFLOW, 503)

    gate.open.set()
    for client in (*under_way, third):
        if client is third:
            await third.send_all(GET)
        assert (await read_until(client, b"\r\n\r\nok")).startswith(b"HTTP/1.1 200 ")
    await idle(net)


async def test_with_one_connection_requests_take_turns_in_the_order_in_which_they_came(net: Net) -> None:
    app, gate, seen = net.add("app"), trio.Event(), []
    accepted = 0

    async def one_at_a_time(stream: trio.SocketStream) -> None:
        nonlocal accepted
        accepted += 1
        while True:
            head = await stream.receive_some()
            if not head:
                return
            seen.append(head.split(b" ")[1])
            await gate.wait()
            await stream.send_all(OK)

    say(net, connections=ConnectionLimits(max_connections=1))
    await net.serve(app, one_at_a_time)
    clients = []
    for number in range(5):
        clients.append(await net.connect(app))
        await clients[-1].send_all(GET.replace(b"/ ", b"/%d " % number))
        await trio.testing.wait_all_tasks_blocked(0.002)
    gate.set()
    for client in clients:
        assert (await read_until(client, b"\r\n\r\nok")).startswith(b"HTTP/1.1 200 ")
    assert seen == [b"/0", b"/1", b"/2", b"/3", b"/4"]
    assert accepted == 1
    await idle(net)
    assert limits_of(net).connections == 1


async def test_no_more_wait_than_may(net: Net) -> None:
    app, gate = net.add("app"), Gate(OK)
    say(net, connections=ConnectionLimits(max_connections=1, max_pending_requests=1))
    await net.serve(app, gate)
    first, second, third = [await net.connect(app) for _ in range(3)]
    await first.send_all(GET)
    await gate.came(1)
    await second.send_all(GET)
    await trio.testing.wait_all_tasks_blocked(0.002)
    assert b"1 requests wait" in await ask(third, GET, b"(UO)")
    gate.open.set()
    for client in (first, second):
        await read_until(client, b"\r\n\r\nok")
    assert (await ask(third, GET)).startswith(b"HTTP/1.1 200 ")


async def test_who_gives_up_waiting_leaves_no_gap(net: Net) -> None:
    app, gate = net.add("app"), Gate(OK)
    say(net, connections=ConnectionLimits(max_connections=1, max_pending_requests=3))
    await net.serve(app, gate)
    clients = [await net.connect(app) for _ in range(4)]
    for client in clients:
        await client.send_all(GET)
        await trio.testing.wait_all_tasks_blocked(0.002)
    await gate.came(1)
    await clients[1].aclose()
    await clients[2].aclose()
    for number in (1, 2):
        assert (await net.records.next(number)).flag is Flag.DOWNSTREAM_CONNECTION_TERMINATION
    gate.open.set()
    for client in (clients[0], clients[3]):
        assert (await read_until(client, b"\r\n\r\nok")).startswith(b"HTTP/1.1 200 ")
    assert gate.asked == 2
    await idle(net)


async def test_a_connection_that_breaks_makes_room_for_the_next(net: Net) -> None:
    app = net.add("app")
    say(net, connections=ConnectionLimits(max_connections=1))
    await net.serve(app, in_turn(b""))
    clients = [await net.connect(app) for _ in range(3)]
    for client in clients:
        await client.send_all(GET)
    for client in clients:
        await read_until(client, b"(UC)")
    await idle(net)
    assert limits_of(net).connections == 0


async def test_nobody_waits_for_a_connection_that_nobody_uses(net: Net) -> None:
    """All endpoints together may have one: an idle one gives way to one to another endpoint."""
    apps = [net.add("app") for _ in range(3)]
    say(net, connections=ConnectionLimits(max_connections=1, max_pending_requests=1))
    for app in apps:
        await net.serve(app, answering())
    client = await net.connect(apps[0])
    for number in range(1, 10):
        assert (await ask(client, GET)).startswith(b"HTTP/1.1 200 ")
        await net.records.next(number)
        assert limits_of(net).connections == 1
    assert {record.destination.workload for record in net.records.all} == {app.name for app in apps}


async def test_a_dial_that_fails_is_no_connection(net: Net) -> None:
    app = net.add("app")
    say(net, connections=ConnectionLimits(max_connections=1))
    (await net.serve(app, answering())).cancel()
    client = await net.connect(app)
    for _ in range(2):
        await ask(client, GET, b"(UF)")
    await idle(net)
    assert limits_of(net).connections == 0


async def test_limits_change_under_what_is_under_way(net: Net) -> None:
    app, gate = net.add("app"), Gate(OK)
    say(net, connections=ConnectionLimits(max_connections=1))
    await net.serve(app, gate)
    clients = [await net.connect(app) for _ in range(3)]
    for client in clients:
        await client.send_all(GET)
    await gate.came(1)
    before = limits_of(net)
    say(net, connections=ConnectionLimits(max_connections=3))
    await gate.came(3)  # nobody had to end first
    assert limits_of(net) is before
    gate.open.set()
    for client in clients:
        await read_until(client, b"\r\n\r\nok")
    say(net)
    assert (await ask(clients[0], GET)).startswith(b"HTTP/1.1 200 ")


async def test_a_subset_has_limits_of_its_own(net: Net) -> None:
    app, gate = net.add("app"), Gate(OK)
    tight, wide = ConnectionLimits(max_requests=1), ConnectionLimits(max_requests=100)
    subsets = {"v1": Subset({"version": "v1"}, TrafficPolicy(connections=tight))}
    say(net, connections=wide, subset="v1", subsets=subsets)
    await net.serve(app, gate)
    first, second = await net.connect(app), await net.connect(app)
    await first.send_all(GET)
    await gate.came(1)
    assert b"1 requests are under way" in await ask(second, GET, b"(UO)")
    assert (limits_of(net, "v1").requests, limits_of(net).requests) == (1, 0)


async def test_an_idle_connection_is_kept_as_long_as_the_policy_says(net: Net) -> None:
    app, closed = net.add("app"), trio.Event()

    async def until_closed(stream: trio.SocketStream) -> None:
        while await stream.receive_some():
            await stream.send_all(OK)
        closed.set()

    say(net, connections=ConnectionLimits(idle_timeout=0.05))
    await net.serve(app, until_closed)
    client = await net.connect(app)
    await ask(client, GET)
    with trio.fail_after(10):  # what is left after 60 s without a policy
        await closed.wait()
    assert limits_of(net).connections == 0


# === TCP ===


async def test_one_tcp_connection_too_many_is_reset_and_recorded(net: Net) -> None:
    app = net.add("app")

    async def echo(stream: trio.SocketStream) -> None:
        while data := await stream.receive_some():
            await stream.send_all(data)

    say(net, connections=ConnectionLimits(max_connections=1), protocol=Protocol.TCP)
    await net.serve(app, echo)
    first = await net.connect(app)
    await first.send_all(b"hello")
    await read_until(first, b"hello")
    second = await net.connect(app)
    with pytest.raises(trio.BrokenResourceError):
        await read_all(second)
    assert (await net.records.next()).flag is Flag.UPSTREAM_OVERFLOW
    await first.aclose()
    await net.records.next(2)
    third = await net.connect(app)
    await third.send_all(b"again")
    assert await read_until(third, b"again") == b"again"


async def test_a_port_of_which_nothing_is_known_counts_its_first_dial_too(net: Net) -> None:
    app, gate = net.add("app"), Gate(OK)
    say(net, connections=ConnectionLimits(max_connections=1), protocol=Protocol.AUTO)
    await net.serve(app, gate)
    first, second = await net.connect(app), await net.connect(app)
    for client in (first, second):
        await client.send_all(GET)
    await gate.came(1)
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert (gate.asked, limits_of(net).connections) == (1, 1)
    gate.open.set()
    for client in (first, second):
        assert (await read_until(client, b"\r\n\r\nok")).startswith(b"HTTP/1.1 200 ")
    assert limits_of(net).connections == 1
