"""A real Envoy takes the mesh's configuration, in all three ways that it can ask."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from composemesh.model.snapshot import Snapshot
from composemesh.xds.bootstrap import Transport
from composemesh.xds.resources.node import Node
from mesh.net import Net, answering
from mesh.xds import control, envoy, needs_envoy, speaks_http

pytestmark = needs_envoy


@pytest.mark.parametrize("transport", Transport)
async def test_an_envoy_serves_soon_after_its_start(net: Net, transport: Transport, tmp_path: Path) -> None:
    reviews = net.add("reviews")
    await net.serve(reviews, answering())
    net.snapshot.publish(Snapshot("test", services=speaks_http("reviews")))
    async with control(net) as server, envoy(server, tmp_path, transport, Node("caller")) as client:
        began = trio.current_time()
        answer = await client.get("reviews")
        print(f"{transport}: {(trio.current_time() - began) * 1000:.0f} ms")
        assert b" 200 OK" in answer, client.log()
        await server.until(cluster="synced", listener="synced")
