"""A proxyless gRPC client, grpcio, follows the mesh's rules: what Envoys are told, without an Envoy."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent import futures
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio

from composemesh.model.policy import DestinationPolicy, Subset
from composemesh.model.route import (
    Abort,
    Delay,
    Destination,
    Fault,
    HttpRule,
    VirtualHost,
    WeightedDestination,
)
from composemesh.model.snapshot import Protocol, ServiceSettings, Snapshot
from composemesh.model.workload import Workload
from mesh.net import PORT, Net
from mesh.xds import Control, control

grpc = pytest.importorskip("grpc", reason="grpcio is not installed (extra `test`)")

CLIENT = Path(__file__).with_name("proxyless.py")


@contextmanager
def answering(workload: Workload, who: str) -> Iterator[None]:
    """A gRPC server that says who it is."""
    handler = grpc.method_handlers_generic_handler(
        "test.Who", {"Who": grpc.unary_unary_rpc_method_handler(lambda request, context: who.encode())}
    )
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"{workload.addresses[0]}:{PORT}")
    server.start()
    try:
        yield
    finally:
        server.stop(None).wait()


class Caller:
    """The client's process."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._said = b""

    async def call(self, times: int) -> dict[str, int]:
        """Who answered how often, statuses of failures among them."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        await self._process.stdin.send_all(b"%d\n" % times)
        with trio.fail_after(60):
            while b"\n" not in self._said:
                more = await self._process.stdout.receive_some()
                assert more, "the client ended"
                self._said += more
        line, _, self._said = self._said.partition(b"\n")
        answers: dict[str, int] = json.loads(line)
        return answers


@asynccontextmanager
async def calling(server: Control, target: str) -> AsyncIterator[Caller]:
    bootstrap = {
        "xds_servers": [
            {
                "server_uri": f"{server.place[0]}:{server.place[1]}",
                "channel_creds": [{"type": "insecure"}],
                "server_features": ["xds_v3"],
            }
        ],
        "node": {"id": "caller"},
    }
    process = await trio.lowlevel.open_process(
        [sys.executable, str(CLIENT), target],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap)},
    )
    try:
        yield Caller(process)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


def split(v1: int, v2: int, fault: Fault | None = None) -> Snapshot:
    services = {
        f"who-{version}": ServiceSettings("who", version, ports={PORT: Protocol.HTTP}) for version in ("v1", "v2")
    }
    subsets = {version: Subset({"version": version}) for version in ("v1", "v2")}
    arms = tuple(
        WeightedDestination(Destination("who", version), weight) for version, weight in (("v1", v1), ("v2", v2))
    )
    rule = HttpRule(destinations=arms, fault=fault)
    return Snapshot(
        "test",
        services=services,
        virtual_hosts=(VirtualHost(("who",), http=(rule,)),),
        policies={"who": DestinationPolicy("who", subsets=subsets)},
    )


async def test_weights_and_faults_are_seen_and_changed_live(net: Net) -> None:
    versions = [net.add("who-v1"), net.add("who-v2")]
    net.snapshot.publish(split(80, 20))
    async with control(net) as server:
        with answering(versions[0], "v1"), answering(versions[1], "v2"):
            async with calling(server, f"xds:///who:{PORT}") as caller:
                began = trio.current_time()
                await caller.call(1)
                print(f"first call after {(trio.current_time() - began) * 1000:.0f} ms, start of Python included")
                answers = await caller.call(300)
                assert answers["v1"] + answers["v2"] == 300
                assert 30 <= answers["v2"] <= 95  # 60 expected, within five deviations
                await server.until(cluster="synced", endpoint="synced", listener="synced", route="synced")

                net.snapshot.publish(split(0, 100))
                with trio.fail_after(20):
                    while (await caller.call(20)) != {"v2": 20}:
                        pass

                net.snapshot.publish(split(0, 100, Fault(abort=Abort(50.0, grpc_status=14))))
                with trio.fail_after(20):
                    while "UNAVAILABLE" not in await caller.call(20):
                        pass
                answers = await caller.call(200)
                assert set(answers) == {"v2", "UNAVAILABLE"}
                assert 60 <= answers["UNAVAILABLE"] <= 140

                net.snapshot.publish(split(0, 100, Fault(delay=Delay(0.2, 100.0))))
                with trio.fail_after(20):
                    while (await caller.call(5)) != {"v2": 5}:
                        pass
                began = trio.current_time()
                assert await caller.call(5) == {"v2": 5}
                assert trio.current_time() - began >= 1.0


async def test_the_mesh_is_restarted_under_a_client(net: Net) -> None:
    workload = net.add("who-v1")
    net.snapshot.publish(split(100, 0))
    with answering(workload, "v1"):
        async with control(net) as server, calling(server, f"xds:///who:{PORT}") as caller:
            assert await caller.call(10) == {"v1": 10}
            port = server.place[1]
            await server.end()
            assert await caller.call(10) == {"v1": 10}
            net.snapshot.publish(split(100, 0, Fault(abort=Abort(100.0, grpc_status=7))))
            async with control(net, port):
                with trio.fail_after(30):
                    while "PERMISSION_DENIED" not in await caller.call(5):
                        pass
