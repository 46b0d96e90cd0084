"""Which endpoint gets the next request, by the policy's balancer."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import trio

from composemesh.model.flag import Flag
from composemesh.model.policy import Balance, Balancer, ConsistentHash, HashKey, Subset, TrafficPolicy
from composemesh.model.snapshot import Protocol
from composemesh.model.workload import Workload
from mesh.net import GET, OK, PORT, Net, answering, ask, read_all, read_until
from mesh.policy import say


async def replicas(net: Net, count: int) -> list[Workload]:
    apps = [net.add("app") for _ in range(count)]
    for app in apps:
        await net.serve(app, answering(OK.replace(b"OK\r\n", b"OK\r\nx-name: %b\r\n" % app.name.encode())))
    return apps


def hashed(key: HashKey, name: str = "", **more: Any) -> Balance:
    return Balance(Balancer.CONSISTENT_HASH, ConsistentHash(key, name, **more))


async def served_by(net: Net, to: Workload, fields: bytes = b"", target: bytes = b"/") -> str:
    """Who answers a request on a connection of its own."""
    client = await net.connect(to)
    answer = await ask(client, b"GET %b HTTP/1.1\r\nHost: app\r\n%b\r\n" % (target, fields))
    await client.aclose()
    return answer.partition(b"x-name: ")[2].partition(b"\r\n")[0].decode()


async def test_round_robin_gives_each_its_turn_and_a_new_plan_does_not_start_over(net: Net) -> None:
    apps = await replicas(net, 3)
    say(net, balance=Balance(Balancer.ROUND_ROBIN))
    names = []
    for number in range(9):
        if number % 4 == 0:
            net.add(f"other-{number}")
        names.append(await served_by(net, apps[0]))
    assert names == names[:3] * 3
    assert set(names) == {app.name for app in apps}


async def test_random_meets_everybody(net: Net) -> None:
    apps = await replicas(net, 2)
    say(net, balance=Balance(Balancer.RANDOM))
    names = Counter([await served_by(net, apps[0]) for _ in range(64)])
    assert set(names) == {app.name for app in apps}  # with a chance of 2⁻⁶³ it fails


async def test_passthrough_goes_where_the_caller_went(net: Net) -> None:
    apps = await replicas(net, 3)
    say(net, balance=Balance(Balancer.PASSTHROUGH))
    for app in apps * 3:
        assert await served_by(net, app) == app.name


@pytest.mark.parametrize("subset", ["", "all"])
async def test_the_same_header_goes_to_the_same_endpoint(net: Net, subset: str) -> None:
    apps = await replicas(net, 3)
    balance = hashed(HashKey.HEADER, "x-user")
    subsets = {"all": Subset(policy=TrafficPolicy(balance))}
    say(net, balance=None if subset else balance, subset=subset, subsets=subsets)
    met: dict[int, str] = {}
    for _ in range(3):
        for user in range(30):
            name = await served_by(net, apps[user % 3], b"X-User: %d\r\n" % user)
            assert met.setdefault(user, name) == name
    assert set(met.values()) == {app.name for app in apps}


async def test_an_endpoint_that_goes_takes_only_its_own_along(net: Net) -> None:
    apps = await replicas(net, 3)
    say(net, balance=hashed(HashKey.QUERY, "q"))
    before = [await served_by(net, apps[0], target=b"/?p=0&q=%d" % number) for number in range(30)]
    net.remove(apps[2])
    after = [await served_by(net, apps[0], target=b"/?p=1&q=%d" % number) for number in range(30)]
    moved = [old for old, new in zip(before, after, strict=True) if old != new]
    assert moved
    assert set(moved) == {apps[2].name}


async def test_a_caller_without_the_cookie_gets_one_and_comes_back_to_the_same(net: Net) -> None:
    apps = await replicas(net, 3)
    say(net, balance=hashed(HashKey.COOKIE, "home", cookie_ttl=60.0, cookie_path="/a"))
    met = set()
    for _ in range(20):
        client = await net.connect(apps[0])
        answer = await ask(client, b"GET / HTTP/1.1\r\nHost: app\r\nCookie: other=1\r\n\r\n")
        name = answer.partition(b"x-name: ")[2].partition(b"\r\n")[0].decode()
        cookie = answer.partition(b"set-cookie: ")[2].partition(b"\r\n")[0]
        assert cookie.startswith(b"home=")
        assert cookie.endswith(b"; Max-Age=60; Path=/a; HttpOnly")
        met.add(name)
        again = b"Cookie: other=1; %b\r\n" % cookie.partition(b";")[0]
        for app in apps:
            assert await served_by(net, app, again) == name
    assert len(met) > 1


async def test_no_cookie_is_made_where_none_is_asked_for(net: Net) -> None:
    apps = await replicas(net, 2)
    say(net, balance=hashed(HashKey.COOKIE, "home"))
    client = await net.connect(apps[0])
    assert b"set-cookie" not in await ask(client, b"GET / HTTP/1.1\r\nHost: app\r\n\r\n")


@pytest.mark.parametrize("protocol", [Protocol.HTTP, Protocol.TCP])
async def test_a_source_stays_where_it_is(net: Net, protocol: Protocol) -> None:
    apps = await replicas(net, 4)
    say(net, balance=hashed(HashKey.SOURCE_IP), protocol=protocol)
    assert len({await served_by(net, apps[number % 4]) for number in range(12)}) == 1


async def test_a_port_has_a_policy_of_its_own_and_inherits_nothing(net: Net) -> None:
    app = net.add("app")
    other = net.add("app")
    for each in (app, other):
        for port in (PORT, PORT + 1):
            await net.serve(
                each, answering(OK.replace(b"OK\r\n", b"OK\r\nx-name: %b\r\n" % each.name.encode())), port
            )
    say(net, balance=Balance(Balancer.PASSTHROUGH), ports={PORT + 1: TrafficPolicy(Balance(Balancer.ROUND_ROBIN))})
    assert {await served_by(net, app) for _ in range(4)} == {app.name}
    client = await net.connect(app, PORT + 1)
    names = set()
    for _ in range(4):
        await client.send_all(b"GET / HTTP/1.1\r\nHost: app\r\n\r\n")
        names.add((await read_until(client, b"\r\n\r\nok")).partition(b"x-name: ")[2].partition(b"\r\n")[0].decode())
    assert names == {app.name, other.name}


@pytest.mark.parametrize("protocol", [Protocol.HTTP, Protocol.TCP])
async def test_passthrough_to_somebody_who_is_not_there_ends(net: Net, protocol: Protocol) -> None:
    dead, alive = net.add("app"), net.add("app")
    say(net, balance=Balance(Balancer.PASSTHROUGH), protocol=protocol)
    (await net.serve(dead, answering())).cancel()
    await net.serve(alive, answering())
    client = await net.connect(dead)
    if protocol is Protocol.HTTP:
        assert b"Connection refused" in await ask(client, GET, b"(UF)")
    else:
        with pytest.raises(trio.BrokenResourceError):
            await read_all(client)
    record = await net.records.next()
    assert record.flag is Flag.UPSTREAM_CONNECTION_FAILURE
    assert record.attempts <= 3
