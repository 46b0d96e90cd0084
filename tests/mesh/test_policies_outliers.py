"""Endpoints that fail again and again are left out (outlierDetection), and come back when their time is up."""

from __future__ import annotations

import pytest
import structlog.testing
import trio

from composemesh.model.flag import Flag
from composemesh.model.policy import ConnectionLimits, OutlierDetection, Retry
from composemesh.model.snapshot import Protocol
from composemesh.proxy.outlier import Outliers
from mesh.net import GET, OK, Net, answering, ask, read_all
from mesh.policy import NO, Gate, bound, in_turn, say

LONG = 3600.0
"""Seconds of ejection: longer than any test."""


def outliers_of(net: Net) -> Outliers:
    outliers = bound(net).outliers
    assert outliers is not None
    return outliers


async def served_by(net: Net, client: trio.SocketStream, count: int) -> list[str]:
    """Who answers the next requests."""
    start = len(net.records.all)
    for number in range(count):
        await ask(client, GET, b"o")
        await net.records.next(start + number + 1)
    return [record.destination.workload for record in net.records.all[start:]]


async def test_an_endpoint_that_fails_in_a_row_is_left_out_and_said_to_be(net: Net) -> None:
    good, bad = net.add("app"), net.add("app")
    say(net, outliers=OutlierDetection(consecutive_5xx=3, base_ejection_time=LONG, max_ejection_percent=100))
    await net.serve(good, answering())
    await net.serve(bad, in_turn(NO))
    client = await net.connect(good)
    with structlog.testing.capture_logs() as logs:
        before = await served_by(net, client, 6)
        after = await served_by(net, client, 6)
    assert before.count(bad.name) == 3
    assert set(after) == {good.name}
    (line,) = [line for line in logs if line["event"] == "ejected"]
    assert (line["service"], line["workload"], line["because"]) == ("app", bad.name, "3 errors in a row")
    assert (line["seconds"], line["times"]) == (3600, 1)
    assert net.fleet.planner.policies.ejected("app", bad.life, 0.0) > 0
    assert net.fleet.planner.policies.ejected("app", good.life, 0.0) == 0


async def test_it_comes_back_when_its_time_is_up(net: Net) -> None:
    good, bad = net.add("app"), net.add("app")
    say(net, outliers=OutlierDetection(consecutive_5xx=1, base_ejection_time=0.2))
    await net.serve(good, answering())
    await net.serve(bad, in_turn(NO, OK))
    client = await net.connect(good)
    await served_by(net, client, 2)
    ejected = outliers_of(net).until(bad.life)
    assert ejected > 0
    with trio.fail_after(10):
        while bad.name not in await served_by(net, client, 1):
            pass
    assert outliers_of(net).until(bad.life) == ejected  # it was not ejected again meanwhile


async def test_connections_that_break_count_too_and_a_plan_changes_nothing(net: Net) -> None:
    good, bad = net.add("app"), net.add("app")
    retry = Retry(on=frozenset({"reset"}), back_off=0.001)
    rule = OutlierDetection(consecutive_5xx=0, consecutive_gateway_errors=2, base_ejection_time=LONG)
    say(net, outliers=rule, retry=retry)
    await net.serve(good, answering())
    await net.serve(bad, in_turn(b""))
    client = await net.connect(good)
    assert set(await served_by(net, client, 4)) == {good.name}
    assert outliers_of(net).until(bad.life) > 0
    await net.serve(net.add("other"), answering())
    asked = sum(record.attempts for record in net.records.all)
    assert set(await served_by(net, client, 4)) == {good.name}
    assert sum(record.attempts for record in net.records.all) == asked + 4


async def test_where_all_are_ejected_the_answer_says_so(net: Net) -> None:
    app = net.add("app")
    say(net, outliers=OutlierDetection(consecutive_5xx=1, base_ejection_time=LONG))
    await net.serve(app, in_turn(NO, OK))
    client = await net.connect(app)
    await ask(client, GET, b"no")
    answer = await ask(client, GET, b"(UH)")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"left out" in answer
    assert (await net.records.next(2)).flag is Flag.NO_HEALTHY_UPSTREAM
    say(net, outliers=OutlierDetection(consecutive_5xx=1, base_ejection_time=LONG, min_health_percent=50))
    assert (await ask(client, GET)).startswith(b"HTTP/1.1 200 ")  # better the bad ones than nobody


async def test_another_life_begins_with_a_clean_slate(net: Net) -> None:
    app = net.add("app")
    say(net, outliers=OutlierDetection(consecutive_5xx=1, base_ejection_time=LONG))
    await net.serve(app, in_turn(NO))
    client = await net.connect(app)
    await ask(client, GET, b"no")
    net.remove(app)
    await net.serve(net.add("app"), answering())
    assert (await ask(client, GET)).startswith(b"HTTP/1.1 200 ")
    assert outliers_of(net).until(app.life) == 0


async def test_what_cannot_be_dialled_is_left_out_for_tcp_as_well(net: Net) -> None:
    app = net.add("app")
    say(net, outliers=OutlierDetection(consecutive_5xx=2, base_ejection_time=LONG), protocol=Protocol.TCP)
    (await net.serve(app, answering())).cancel()
    for _ in range(2):
        client = await net.connect(app)
        with pytest.raises(trio.BrokenResourceError):
            await read_all(client)
    assert outliers_of(net).until(app.life) > 0


@pytest.mark.parametrize("by_rule", ["timeout", "per-try"])
async def test_who_hangs_is_left_out(net: Net, by_rule: str) -> None:
    good, hangs = net.add("app"), net.add("app")
    outliers = OutlierDetection(consecutive_5xx=0, consecutive_gateway_errors=2, base_ejection_time=LONG)
    if by_rule == "timeout":
        say(net, outliers=outliers, timeout=0.05)
    else:
        say(net, outliers=outliers, retry=Retry(attempts=0, per_try_timeout=0.05))
    await net.serve(good, answering())
    await net.serve(hangs, Gate(OK))
    client = await net.connect(good)
    statuses = []
    for number in range(1, 9):
        await ask(client, GET, b"o")
        statuses.append((await net.records.next(number)).response_code)
    assert statuses.count(504) == 2
    assert statuses[-4:] == [200] * 4
    assert outliers_of(net).until(hangs.life) > 0


async def test_who_waits_for_a_connection_blames_nobody(net: Net) -> None:
    """The one connection there may be is in use for longer than a request has time: that is no fault of anyone's."""
    app, gate = net.add("app"), Gate(OK)
    outliers = OutlierDetection(consecutive_5xx=1, base_ejection_time=LONG)
    retry = Retry(attempts=0, per_try_timeout=LONG)
    say(net, outliers=outliers, connections=ConnectionLimits(max_connections=1), retry=retry, timeout=0.3)
    await net.serve(app, gate)
    first, second = await net.connect(app), await net.connect(app)
    await first.send_all(GET.replace(b"GET", b"POST")[:-2] + b"Content-Length: 2\r\n\r\n")  # its time begins later
    await gate.came(1)
    assert (await ask(second, GET, b"(UT)")).startswith(b"HTTP/1.1 504 ")
    assert outliers_of(net).until(app.life) == 0
    gate.open.set()
    await ask(first, b"hi")
