"""Rules change under traffic: nothing is lost, no connection is cut, and a request never meets two configurations."""

from __future__ import annotations

import trio

from composemesh.model.flag import Flag
from composemesh.model.route import HeaderChange, HttpRule, Mirror, Rewrite
from mesh.net import Net
from mesh.routes import Client, add_versions, configure, connect, headers, rule, telling, to

CHANGES = 500
CLIENTS = 8


def generation(number: int) -> tuple[HttpRule, ...]:
    """Rules in which everything says the same number: the rule, the arm, the path, the destination, the answer."""
    said = str(number)
    arm = to("v1" if number % 2 else "v2", request=HeaderChange(set=(("x-arm", said),)))
    change = headers(HeaderChange(set=(("x-rule", said),)), HeaderChange(set=(("x-back", said),)))
    return (rule(arm, rewrite=Rewrite(uri=f"/{said}/"), headers=change, timeout=30.0 if number % 3 else None),)


async def test_five_hundred_changes_lose_nothing_and_each_request_meets_one_of_them(net: Net) -> None:
    seen: list[bytes] = []
    versions = await add_versions(net, "v1", handler=telling(b"v1", seen))
    await add_versions(net, "v2", handler=telling(b"v2", seen))
    configure(net, *generation(0))
    done = False
    answers: list[tuple[int, str, bytes]] = []

    async def ask(client: Client) -> None:
        while not done:
            answer = await client.ask("/")
            answers.append((answer.status, answer.fields.get("x-back", ""), answer.body))

    clients = [await connect(net, versions["v1"]) for _ in range(CLIENTS)]
    async with trio.open_nursery() as nursery:
        for client in clients:
            nursery.start_soon(ask, client)
        for number in range(1, CHANGES + 1):
            configure(net, *generation(number))
            await net.records.next(len(net.records.all) + 1)
        done = True

    assert {status for status, _, _ in answers} == {200}
    for _, back, body in answers:
        assert body == (b"v1" if int(back) % 2 else b"v2")
    for request in seen:
        lines = dict(line.split(b": ", 1) for line in request.split(b"\r\n")[1:] if b": " in line)
        path = request.split(b" ")[1]
        assert path == b"/%b/" % lines[b"x-rule"]
        assert lines[b"x-arm"] == lines[b"x-rule"]
    assert len({back for _, back, _ in answers}) > CHANGES // 10  # the changes did arrive while requests were made
    assert {record.flag for record in net.records.all} == {Flag.NONE}


async def test_a_request_under_way_keeps_the_rules_that_it_has_met(net: Net) -> None:
    """Rules that come and go, down to none at all, while an answer is awaited."""
    waiting = trio.Event()
    go = trio.Event()

    async def slow(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        waiting.set()
        await go.wait()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    versions = await add_versions(net, "v1", handler=slow)
    change = headers(response=HeaderChange(set=(("x-back", "1"),)))
    configure(net, rule(to("v1"), headers=change, mirrors=(Mirror(to("v9").destination),)))
    client = await connect(net, versions["v1"])
    async with trio.open_nursery() as nursery:

        async def check() -> None:
            answer = await client.ask()
            assert (answer.status, answer.fields["x-back"]) == (200, "1")

        nursery.start_soon(check)
        await waiting.wait()
        configure(net, rule(to("v9")))
        configure(net)
        go.set()
    assert (await client.ask()).body == b"ok"
