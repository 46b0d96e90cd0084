"""Where the xDS port stands in a mesh: what `x-mesh.xds` says, what `status` says, and that it costs nothing idle."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from composemesh import app
from composemesh.admin.mesh_view import MeshView
from composemesh.capture.loopback import LoopbackCapture
from composemesh.config.loaders.resolved import Resolved
from composemesh.model.workload import Discovered
from composemesh.runtime.latest import Latest
from composemesh.xds.resources.resource import CLUSTER
from mesh.discovery import Client, request


class Nobody:
    """A source of a project in which nothing runs."""

    async def watch(self, publish: Callable[[Discovered], None]) -> None:
        publish(Discovered())
        await trio.sleep_forever()


@asynccontextmanager
async def mesh(folder: Path, xds: str) -> AsyncIterator[MeshView]:
    async def resolve() -> Resolved:
        web = "{web: {x-mesh: {service: web, ports: {80: http}}}}"
        return Resolved(f"name: shop\nservices: {web}\nx-mesh: {{xds: {xds}}}\n")

    options = app.MeshOptions("shop", folder, resolve=resolve, admin="127.0.0.1:0", capture="loopback")
    capture = LoopbackCapture(Latest(Discovered()), {})

    async def run(task_status: trio.TaskStatus[MeshView]) -> None:
        await app.run(options, sources=[Nobody()], capture=capture, task_status=task_status)

    async with trio.open_nursery() as nursery:
        yield await nursery.start(run)
        nursery.cancel_scope.cancel()


async def test_off_is_off(tmp_path: Path) -> None:
    async with mesh(tmp_path, "off") as view:
        status = view.status()
    assert (status["xds_url"], status["xds"]) == ("", [])


async def test_where_the_port_is_taken_it_is_the_next_free_one(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with mesh(tmp_path, f"'127.0.0.1:{port}'") as view:
            host, _, found = view.xds_url.rpartition(":")
            assert host == "http://127.0.0.1"
            assert port < int(found) <= port + 100


async def test_status_says_who_has_what_and_what_is_refused(tmp_path: Path) -> None:
    async with mesh(tmp_path, "'127.0.0.1:15910'") as view:
        host, _, port = view.xds_url.removeprefix("http://").rpartition(":")
        stream = await trio.open_tcp_stream(host, int(port))
        client = Client(stream)
        await client.flush()
        number = await client.call()
        await client.say(number, request(CLUSTER, node="envoy-1"))
        said = await client.hear(number)
        error = {"message": "Error adding/updating cluster(s) outbound|80||web: \x1b[31mno"}
        await client.say(number, request(CLUSTER, response_nonce=said.nonce, error_detail=error))

        def refusals(status: dict[str, Any]) -> list[dict[str, Any]]:
            return [problem for problem in status["problems"] if problem["code"] == "xds-refused"]

        with trio.fail_after(20):
            while not refusals(status := view.status()):  # noqa: ASYNC110 - status tells nobody
                await trio.sleep(0.005)
        (row,) = status["xds"]
        assert (row["node"], row["type"], row["state"], row["refused"]) == (
            "envoy-1",
            "cluster",
            "refused",
            ["outbound|80||web"],
        )
        (problem,) = refusals(status)
        assert problem["severity"] == "warning"
        assert problem["resource"] == "cluster outbound|80||web"
        assert "envoy-1" in problem["message"]
        assert "[31mno" in problem["message"]
        assert "\x1b" not in problem["message"]
        assert status["state"] == "serving"
        stream.socket.close()


def test_an_idle_port_loads_no_protobuf() -> None:
    """Memory and start of a mesh that no Envoy asks stay what they were."""
    program = "import composemesh.traffic, sys; print([m for m in sys.modules if 'protobuf' in m or 'xds.' in m])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=os.curdir, check=True)
    assert done.stdout.strip() == "['composemesh.xds.port']"
