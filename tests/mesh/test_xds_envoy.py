"""A real Envoy takes the mesh's configuration, in all three ways that it can ask."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from composemesh.model.policy import ConnectionLimits, DestinationPolicy, TrafficPolicy
from composemesh.model.snapshot import Snapshot
from composemesh.xds.bootstrap import Transport
from composemesh.xds.resources.listeners import OwnAddresses
from mesh.net import PORT, Net, answering
from mesh.xds import control, envoy, needs_envoy, node, speaks_http

pytestmark = needs_envoy


@pytest.mark.parametrize("transport", Transport)
async def test_an_envoy_serves_soon_after_its_start(net: Net, transport: Transport, tmp_path: Path) -> None:
    reviews = net.add("reviews")
    await net.serve(reviews, answering())
    net.snapshot.publish(Snapshot("test", services=speaks_http("reviews")))
    async with control(net) as server, envoy(server, tmp_path, transport, node()) as client:
        began = trio.current_time()
        answer = await client.get("reviews")
        print(f"{transport}: {(trio.current_time() - began) * 1000:.0f} ms")
        assert b" 200 OK" in answer, client.log()
        await server.until(cluster="synced", listener="synced")


@pytest.mark.parametrize("transport", Transport)
async def test_what_an_envoy_refuses_is_named_and_the_rest_goes_on(
    net: Net, transport: Transport, tmp_path: Path
) -> None:
    """A listener whose address is taken is refused by Envoy alone."""
    for service in ("reviews", "ratings"):
        await net.serve(net.add(service), answering())
    caller = node()
    net.snapshot.publish(Snapshot("test", services=speaks_http("reviews", "ratings")))
    with socket.socket() as taken:
        taken.bind((OwnAddresses(caller).of("ratings"), PORT))
        taken.listen()
        async with control(net) as server, envoy(server, tmp_path, transport, caller) as client:
            assert b" 200 OK" in await client.get("reviews")
            await server.until(listener="refused")
            (problem,) = [each for each in server.port.problems() if each.code == "xds-refused"]
            if transport is Transport.REST:  # it says nothing of what it refuses
                assert "refuses its listeners" in problem.message
            else:
                assert problem.resource == "listener ratings:8080"
                assert "cannot bind" in problem.message
            # What changes meanwhile comes, and what is refused is not sent again and again.
            await net.serve(net.add("details"), answering())
            net.snapshot.publish(Snapshot("test", services=speaks_http("reviews", "ratings", "details")))
            answer = await client.get("details")
            with trio.fail_after(20):
                while transport is Transport.REST and b" 503 " in answer:  # types are polled in any order
                    answer = await client.get("details")
            assert b" 200 OK" in answer
            await server.until(listener="refused")
            if transport is not Transport.REST:
                rejected = await client.admin("/stats?filter=listener_manager.lds.update_rejected")
                assert int(rejected.rpartition(":")[2]) <= 2


@pytest.mark.parametrize("transport", [Transport.ADS, Transport.DELTA])
async def test_an_envoy_serves_on_without_the_mesh_and_catches_up(
    net: Net, transport: Transport, tmp_path: Path
) -> None:
    await net.serve(net.add("reviews"), answering())
    net.snapshot.publish(Snapshot("test", services=speaks_http("reviews")))
    async with control(net) as server, envoy(server, tmp_path, transport, node()) as client:
        assert b" 200 OK" in await client.get("reviews")
        await server.until(cluster="synced", endpoint="synced", listener="synced", route="synced")
        await server.end()
        assert b" 200 OK" in await client.get("reviews")
        await net.serve(net.add("ratings"), answering())
        net.snapshot.publish(Snapshot("test", services=speaks_http("reviews", "ratings")))
        async with control(net, server.place[1]) as next_server:
            began = trio.current_time()
            assert b" 200 OK" in await client.get("ratings")
            print(f"caught up after {(trio.current_time() - began) * 1000:.0f} ms")
            await next_server.until(cluster="synced", endpoint="synced", listener="synced", route="synced")


@pytest.mark.parametrize("transport", [Transport.ADS, Transport.DELTA])
async def test_a_cluster_that_changes_is_warm_again_at_once(net: Net, transport: Transport, tmp_path: Path) -> None:
    """Envoy waits for its endpoints again, fifteen seconds if nobody sends them, and asks for nothing."""
    await net.serve(net.add("reviews"), answering())
    snapshot = Snapshot("test", services=speaks_http("reviews"))
    net.snapshot.publish(snapshot)
    async with control(net) as server, envoy(server, tmp_path, transport, node()) as client:
        assert b" 200 OK" in await client.get("reviews")
        await server.until(cluster="synced", endpoint="synced", listener="synced", route="synced")
        before = server.version("cluster")
        policy = DestinationPolicy("reviews", TrafficPolicy(connections=ConnectionLimits(connect_timeout=3.0)))
        net.snapshot.publish(replace(snapshot, policies={"reviews": policy}))
        began = trio.current_time()
        with trio.fail_after(20):
            while server.version("cluster") == before:  # noqa: ASYNC110 - nobody is told
                await trio.sleep(0.002)
        await server.until(cluster="synced", endpoint="synced")
        took = trio.current_time() - began
        print(f"warm again after {took * 1000:.0f} ms")
        assert took < 5
        assert "warming_clusters: 0" in await client.admin("/stats?filter=warming_clusters")
