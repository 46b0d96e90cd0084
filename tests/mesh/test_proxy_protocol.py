"""The PROXY protocol through the mesh: clients that are introduced to it, servers that it introduces them to."""

from __future__ import annotations

import h2.events
import pytest
import trio
import trio.testing

from composemesh.model.flag import Flag
from composemesh.model.gateway import Server
from composemesh.model.policy import ConnectionLimits, DestinationPolicy, H2Upgrade, TrafficPolicy
from composemesh.model.snapshot import Protocol, ServiceSettings, Snapshot
from composemesh.model.workload import Workload
from composemesh.proxy import introduction
from composemesh.proxy.codec.proxy_protocol import encode, parse
from mesh import gateways
from mesh.http2 import Peer, serving
from mesh.net import GET, OK, PORT, Handler, Net, answering, ask, read_all, read_until
from mesh.test_bridge import Seen, fields

CLIENT, ENTRANCE = ("203.0.113.9", 40000), ("198.51.100.1", 80)
HEADERS = [encode(1, CLIENT, ENTRANCE), encode(2, CLIENT, ENTRANCE)]


async def introduced(net: Net, handler: Handler, protocol: Protocol = Protocol.AUTO) -> Workload:
    settings = ServiceSettings("app", "v1", ports={PORT: protocol}, proxy_protocol=True)
    net.snapshot.publish(Snapshot("test", services={"app": settings}))
    app = net.add("app")
    await net.serve(app, handler)
    return app


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("together", [True, False])
async def test_the_stated_client_is_the_client(net: Net, header: bytes, together: bool) -> None:
    seen: list[bytes] = []
    app = await introduced(net, answering(seen=seen))
    client = await net.connect_from_outside(app)
    if together:
        await ask(client, header + GET)
    else:
        for byte in header:
            await client.send_all(bytes([byte]))
            await trio.testing.wait_all_tasks_blocked()
        await ask(client, GET)
    await ask(client, GET)  # it is said once a connection
    assert [dict(fields(head))[b"x-forwarded-for"] for head in seen] == [b"203.0.113.9"] * 2
    assert (await net.records.next(2)).x_forwarded_for == "203.0.113.9"


async def test_the_stated_client_of_http2(net: Net) -> None:
    seen = Seen()
    app = await introduced(net, serving(seen))
    stream = await net.connect_from_outside(app)
    await stream.send_all(HEADERS[1])
    client = Peer(stream, client=True)
    client.ask()
    await client.flush()
    await client.next(h2.events.StreamEnded)
    assert (b"x-forwarded-for", b"203.0.113.9") in seen.asked


@pytest.mark.parametrize("protocol", [Protocol.AUTO, Protocol.TCP])
async def test_the_stated_client_of_a_server_that_speaks_first(net: Net, protocol: Protocol) -> None:
    async def smtp(stream: trio.SocketStream) -> None:
        await stream.send_all(b"220 ready\r\n")
        await stream.send_all(b"250 " + await read_until(stream, b"\r\n"))

    app = await introduced(net, smtp, protocol)
    client = await net.connect_from_outside(app)
    await client.send_all(HEADERS[0])
    await read_until(client, b"220 ready\r\n")
    await client.send_all(b"EHLO me\r\n")
    assert await read_all(client) == b"250 EHLO me\r\n"
    await client.aclose()
    record = await net.records.next()
    assert (record.protocol, record.x_forwarded_for, record.bytes_received) == ("tcp", "203.0.113.9", 9)


async def test_a_proxy_that_speaks_for_itself_is_the_client(net: Net) -> None:
    seen: list[bytes] = []
    app = await introduced(net, answering(seen=seen))
    await ask(await net.connect_from_outside(app), b"PROXY UNKNOWN\r\n" + GET)
    assert dict(fields(seen[0]))[b"x-forwarded-for"] == b"127.0.0.1"


@pytest.mark.parametrize("said", [GET, b"PROXY TCP4 1.2.3.4\r\n" + GET, b""])
async def test_who_is_not_introduced_is_not_listened_to(
    net: Net, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(introduction, "PATIENCE", 0.1)
    seen: list[bytes] = []
    app = await introduced(net, answering(seen=seen))
    client = await net.connect_from_outside(app)
    await client.send_all(said)
    with pytest.raises(trio.BrokenResourceError):
        await read_all(client)
    record = await net.records.next()
    assert (record.flag, record.destination.service) == (Flag.DOWNSTREAM_PROTOCOL_ERROR, "app")
    assert seen == []


async def test_callers_within_the_mesh_need_no_introduction(net: Net) -> None:
    app = await introduced(net, answering())
    assert b"ok" in await ask(await net.connect(app), GET)


def introduce(net: Net, version: int, upgrade: H2Upgrade = H2Upgrade.AS_CLIENT) -> None:
    policy = TrafficPolicy(connections=ConnectionLimits(h2_upgrade=upgrade), proxy_protocol=version)
    net.snapshot.publish(Snapshot("test", policies={"app": DestinationPolicy("app", policy)}))


class Introduced:
    """An application behind the PROXY protocol: who it was told is there, and then another application."""

    def __init__(self, then: Handler) -> None:
        self.clients: list[tuple[str, int]] = []
        self._then = then

    async def __call__(self, stream: trio.SocketStream) -> None:
        data = b""
        while (stated := parse(data)) is None:
            data += await stream.receive_some(1)
        assert stated.source is not None
        assert stated.destination is not None
        assert stated.destination[1] == PORT
        self.clients.append(stated.source)
        await self._then(stream)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("upgrade", [H2Upgrade.AS_CLIENT, H2Upgrade.ALWAYS])
async def test_each_client_has_connections_of_its_own(net: Net, version: int, upgrade: H2Upgrade) -> None:
    introduce(net, version, upgrade)
    app = net.add("app")
    server = Introduced(answering() if upgrade is H2Upgrade.AS_CLIENT else serving(Seen()))
    await net.serve(app, server)
    clients = [await net.connect(app) for _ in range(2)]
    for client in (*clients, *clients):
        assert b"ok" in await ask(client, GET)
    assert server.clients == [client.socket.getsockname() for client in clients]


@pytest.mark.parametrize("version", [1, 2])
async def test_a_server_that_speaks_first_is_told_before(net: Net, version: int) -> None:
    introduce(net, version)
    app = net.add("app")

    async def greet(stream: trio.SocketStream) -> None:
        await stream.send_all(b"220 ready\r\n")

    server = Introduced(greet)
    await net.serve(app, server)
    for _ in range(2):  # the second time the port is known
        client = await net.connect(app)
        assert await read_until(client, b"\r\n") == b"220 ready\r\n"
        assert server.clients.pop() == client.socket.getsockname()
        await client.aclose()
    record = await net.records.next()
    assert (record.bytes_received, record.bytes_sent) == (0, 11)  # what we say ourselves is nobody's traffic


async def test_a_stated_client_is_stated_again(net: Net) -> None:
    app = net.add("app")
    server = Introduced(answering(OK))
    await net.serve(app, server)
    net.snapshot.publish(
        Snapshot(
            "test",
            services={"app": ServiceSettings("app", "v1", proxy_protocol=True)},
            policies={"app": DestinationPolicy("app", TrafficPolicy(proxy_protocol=1))},
        )
    )
    await trio.testing.wait_all_tasks_blocked()
    await ask(await net.connect_from_outside(app), HEADERS[1] + GET)
    assert server.clients == [CLIENT]


# === a proxy before a gateway ===


async def shop(net: Net, *servers: Server) -> list[bytes]:
    """What a shop behind a gateway with these servers sees."""
    seen: list[bytes] = []
    await gateways.app(net, "shop", b"welcome", seen)
    await gateways.open_up(net, gateways.gateway(*servers), routes=[gateways.route("*", "shop")])
    return seen


@pytest.mark.parametrize("header", HEADERS)
async def test_a_gateway_takes_the_stated_client(net: Net, header: bytes) -> None:
    port = gateways.free_port()
    seen = await shop(net, gateways.http(port, introduced=True))
    async with await gateways.connect(port) as client:
        await client.send_all(header)
        for _ in range(2):
            assert (await gateways.ask(client)).endswith(b"welcome")
    assert [dict(fields(head))[b"x-forwarded-for"] for head in seen] == [b"203.0.113.9"] * 2


async def test_a_gateway_with_tls_takes_the_stated_client(net: Net) -> None:
    port = gateways.free_port()
    seen = await shop(net, gateways.https(port, introduced=True), gateways.http(port, "plain.test"))
    async with await gateways.secure(port, "shop.localhost", first=HEADERS[1]) as client:
        assert (await gateways.ask(client)).endswith(b"welcome")
    assert dict(fields(seen[0]))[b"x-forwarded-for"] == b"203.0.113.9"


async def test_a_gateway_turns_a_stranger_away(net: Net) -> None:
    port = gateways.free_port()
    await shop(net, gateways.http(port, introduced=True))
    async with await gateways.connect(port) as client:
        await client.send_all(GET)
        with pytest.raises(trio.BrokenResourceError):
            await client.receive_some()
    assert (await net.records.next()).flag is Flag.DOWNSTREAM_PROTOCOL_ERROR
