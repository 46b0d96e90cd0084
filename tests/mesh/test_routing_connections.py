"""Rules for TCP and TLS: connections that are passed on as they are go where rules lead."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trio

from composemesh.model.flag import Flag
from composemesh.model.origin import Origin
from composemesh.model.route import ConnectionMatch, ConnectionRule, Destination, VirtualHost, WeightedDestination
from composemesh.model.snapshot import Protocol
from composemesh.model.workload import Workload
from mesh.net import PORT, Handler, Net, read_until
from mesh.routes import add_versions, applied, apply, connect, rule, to


def greeting(name: bytes) -> Handler:
    """A server that speaks first."""

    async def greet(stream: trio.SocketStream) -> None:
        await stream.send_all(name + b"\n")
        while await stream.receive_some():
            pass

    return greet


def echoing(name: bytes) -> Handler:
    """A server that says its name before what it hears."""

    async def echo(stream: trio.SocketStream) -> None:
        while more := await stream.receive_some():
            await stream.send_all(name + b" " + more)

    return echo


def tcp(*arms: WeightedDestination, **match: Any) -> ConnectionRule:
    return ConnectionRule((ConnectionMatch(**match),) if match else (), arms)


async def hear(net: Net, workload: Workload) -> bytes:
    stream = await net.connect(workload)
    data = await read_until(stream, b"\n")
    await stream.aclose()
    return data.strip()


async def test_connections_are_split_by_weight(net: Net) -> None:
    versions = await add_versions(net, "v1", handler=greeting(b"v1"))
    await add_versions(net, "v2", handler=greeting(b"v2"))
    apply(net, VirtualHost(("reviews",), tcp=(tcp(to("v1", 80), to("v2", 20)),)))
    await applied(net)
    heard = [await hear(net, versions["v1"]) for _ in range(50)]
    assert abs(heard.count(b"v2") - 10) <= 2


async def test_a_client_that_speaks_first_is_split_too(net: Net) -> None:
    versions = await add_versions(net, "v1", handler=echoing(b"v1"))
    await add_versions(net, "v2", handler=echoing(b"v2"))
    apply(net, VirtualHost(("reviews",), tcp=(tcp(to("v2")),)))
    await applied(net)
    for _ in range(3):
        stream = await net.connect(versions["v1"])
        await stream.send_all(b"\x00hello")
        assert await read_until(stream, b"hello") == b"v2 \x00hello"


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({"port": PORT}, True),
        ({"port": 1}, False),
        ({"source_labels": {"app": "caller"}}, True),
        ({"source_labels": {"app": "stranger"}}, False),
        ({"destination_subnets": ("127.0.0.0/8",)}, True),
        ({"destination_subnets": ("10.0.0.0/8", "fd00::/8")}, False),
        ({"gateways": ("web",)}, False),
    ],
)
async def test_each_match(net: Net, match: dict[str, object], fits: bool) -> None:
    versions = await add_versions(net, "v1", handler=greeting(b"v1"))
    await add_versions(net, "v2", handler=greeting(b"v2"))
    apply(net, VirtualHost(("reviews",), tcp=(tcp(to("v2"), **match),)))
    await applied(net)
    heard = {await hear(net, versions["v1"]) for _ in range(4)}
    assert heard == ({b"v2"} if fits else {b"v1", b"v2"})


async def test_a_destination_may_have_another_port_or_not_be_there(net: Net) -> None:
    versions = await add_versions(net, "v1", handler=greeting(b"v1"))
    other = net.add("other")
    await net.serve(other, greeting(b"other"), 9999)
    apply(net, VirtualHost(("reviews",), tcp=(tcp(to(host="other", port=9999)),)))
    await applied(net)
    assert await hear(net, versions["v1"]) == b"other"
    apply(net, VirtualHost(("reviews",), tcp=(tcp(to(host="nowhere")),)))
    await applied(net)
    net.fleet.planner.spoken["reviews"].learned[PORT] = Protocol.TCP
    stream = await net.connect(versions["v1"])
    with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
        await stream.receive_some()
    await net.records.next(2)  # the one before may be recorded after it
    assert Flag.NO_CLUSTER_FOUND in {record.flag for record in net.records.all}


async def test_rules_for_http_and_for_connections_stand_side_by_side(net: Net) -> None:
    versions = await add_versions(net, "v1", "v2")
    apply(net, VirtualHost(("reviews",), http=(rule(to("v2")),), tcp=(tcp(to("v1")),)))
    await applied(net)
    client = await connect(net, versions["v1"])
    assert {(await client.ask()).body for _ in range(4)} == {b"v2"}


def hello(name: str | None) -> bytes:
    """A ClientHello that asks for a server."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


async def told(net: Net, workload: Workload, first: bytes) -> bytes:
    stream = await net.connect(workload)
    half = len(first) // 2
    await stream.send_all(first[:half])
    await trio.testing.wait_all_tasks_blocked(0.005)  # a first flight may come in pieces
    await stream.send_all(first[half:])
    data = await read_until(stream, first[-1:])
    await stream.aclose()
    return data[:2]


async def test_the_servers_name_decides_and_the_handshake_arrives_whole(net: Net) -> None:
    versions = await add_versions(net, "v1", handler=echoing(b"v1"))
    await add_versions(net, "v2", handler=echoing(b"v2"))
    await add_versions(net, "v3", handler=echoing(b"v3"))
    tls = (
        tcp(to("v2"), sni_hosts=("a.example",)),
        tcp(to("v3"), sni_hosts=("*.b.example",)),
    )
    apply(net, VirtualHost(("reviews",), tls=tls, tcp=(tcp(to("v1")),)))
    await applied(net)
    for name, answers in (("a.example", b"v2"), ("x.b.example", b"v3"), ("b.example", b"v1"), (None, b"v1")):
        assert await told(net, versions["v1"], hello(name)) == answers


async def test_for_an_address_outside_the_mesh_the_servers_name_decides(net: Net) -> None:
    await add_versions(net, "v2", handler=echoing(b"v2"))
    outside = net.add("legacy", network="elsewhere")
    await net.serve(outside, echoing(b"ex"))
    apply(net, VirtualHost(("a.example",), tls=(tcp(to("v2"), sni_hosts=("a.example",)),)))
    await applied(net)
    assert await told(net, outside, hello("a.example")) == b"v2"
    assert await told(net, outside, hello("c.example")) == b"ex"


async def test_what_only_begins_like_tls_has_no_name(net: Net) -> None:
    versions = await add_versions(net, "v1", handler=echoing(b"v1"))
    await add_versions(net, "v2", handler=echoing(b"v2"))
    apply(net, VirtualHost(("reviews",), tls=(tcp(to("v2"), sni_hosts=("a.example",)),), tcp=(tcp(to("v1")),)))
    await applied(net)
    for declared in ({}, {PORT: Protocol.TCP}):
        net.fleet.planner.spoken["reviews"].declared.update(declared)
        stream = await net.connect(versions["v1"])
        await stream.send_all(b"\x16nonsense that is no handshake at all")
        assert (await read_until(stream, b"all")).startswith(b"v1 ")
        assert await told(net, versions["v1"], hello("a.example")) == b"v2"


async def test_the_rule_names_where_it_is_from(net: Net) -> None:
    versions = await add_versions(net, "v1", handler=greeting(b"v1"))
    origin = Origin("VirtualService", "tcp-echo", "tcp.yaml", 7)
    arms = (WeightedDestination(Destination("reviews", "v1")),)
    apply(net, VirtualHost(("reviews",), tcp=(ConnectionRule((), arms, origin),)))
    await applied(net)
    await hear(net, versions["v1"])
    assert (await net.records.next()).route == "VirtualService tcp-echo (tcp.yaml:7)"
