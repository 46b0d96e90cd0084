"""Peers that vanish: nothing is heard of them any more, no FIN and no reset, as when a host loses its power."""

from __future__ import annotations

import os
import socket

import pytest
import trio

from composemesh.model.flag import Flag
from composemesh.model.listener import ListenerLimits
from composemesh.model.policy import ConnectionLimits, DestinationPolicy, KeepAlive, TrafficPolicy
from composemesh.model.route import Destination, HttpRule, VirtualHost, WeightedDestination
from composemesh.model.snapshot import MeshSettings, Protocol, ServiceSettings, Snapshot
from composemesh.proxy.downstream import h1
from mesh.net import GET, PORT, Net, ask, read_until

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root may forget a TCP connection in silence"),
]

TCP_REPAIR = 19
"""From linux/tcp.h: a socket that is closed in this mode says nothing to its peer."""
POST = b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 2\r\n\r\nhi"
SETTINGS = {"app": ServiceSettings("app", "v1", ports={PORT: Protocol.HTTP})}


def vanish(stream: trio.SocketStream) -> None:
    stream.socket.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    stream.socket.close()


async def takes_and_vanishes(stream: trio.SocketStream) -> None:
    await read_until(stream, b"hi")
    vanish(stream)


async def test_a_server_that_vanishes_costs_its_caller_the_routes_timeout(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, takes_and_vanishes)
    rule = HttpRule(destinations=(WeightedDestination(Destination("app")),), timeout=0.2)
    net.snapshot.publish(Snapshot("test", services=SETTINGS, virtual_hosts=(VirtualHost(("app",), http=(rule,)),)))
    assert (await ask(await net.connect(app), POST, b"(UT)")).startswith(b"HTTP/1.1 504 ")
    assert (await net.records.next()).flag is Flag.UPSTREAM_REQUEST_TIMEOUT


async def test_tcps_own_probes_find_a_server_that_vanished(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, takes_and_vanishes)
    limits = ConnectionLimits(keep_alive=KeepAlive(probes=1, time=1, interval=1))
    policies = {"app": DestinationPolicy("app", TrafficPolicy(connections=limits))}
    net.snapshot.publish(Snapshot("test", services=SETTINGS, policies=policies))
    assert (await ask(await net.connect(app), POST, b"(UC)")).startswith(b"HTTP/1.1 503 ")
    assert (await net.records.next()).flag is Flag.UPSTREAM_CONNECTION_TERMINATION


async def test_a_client_that_vanishes_amid_its_head_is_not_waited_for(
    net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h1, "HEAD_TIMEOUT", 0.2)
    net.snapshot.publish(Snapshot("test", services=SETTINGS))
    app = net.add("app")
    await net.serve(app, takes_and_vanishes)
    client = await net.connect(app)
    await client.send_all(GET[:-5])
    vanish(client)
    assert (await net.records.next()).flag is Flag.DOWNSTREAM_PROTOCOL_ERROR


async def test_a_client_that_vanishes_between_requests_goes_when_its_time_is_up(net: Net) -> None:
    net.snapshot.publish(Snapshot("test", MeshSettings(listeners=ListenerLimits(idle_timeout=0.2)), SETTINGS))

    async def answer(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    app = net.add("app")
    await net.serve(app, answer)
    client = await net.connect(app)
    await ask(client, GET)
    sidecar = net.fleet.sidecars[net.caller.life]
    assert len(sidecar.connections) == 1
    vanish(client)
    with trio.fail_after(5):
        while sidecar.connections:  # noqa: ASYNC110 - no event says so
            await trio.sleep(0.005)


async def test_a_client_that_vanishes_amid_its_answer_ends_the_servers_work(net: Net) -> None:
    stopped = trio.Event()

    async def pour(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                await stream.send_all(b"8000\r\n" + bytes(0x8000) + b"\r\n")
        finally:
            stopped.set()

    app = net.add("app")
    await net.serve(app, pour)
    client = await net.connect(app)
    await client.send_all(GET)
    await read_until(client, b"8000\r\n")
    vanish(client)
    assert (await net.records.next()).flag is Flag.DOWNSTREAM_CONNECTION_TERMINATION
    with trio.fail_after(5):
        await stopped.wait()
