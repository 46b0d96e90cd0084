"""The xDS server of a mesh on loopback, and real clients of it: an Envoy, a grpcio, bytes of any kind."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
import trio

from composemesh.model.snapshot import Protocol, ServiceSettings
from composemesh.xds.bootstrap import Transport, bootstrap
from composemesh.xds.port import XdsPort
from composemesh.xds.resources.listeners import OwnAddresses
from composemesh.xds.resources.node import Node
from environment.tools import find
from mesh.net import PORT, Net

ENVOY = find("envoy")
needs_envoy = pytest.mark.skipif(ENVOY is None, reason="Envoy is not on this machine (`make environment` brings it)")


_names = itertools.count(1)


def node() -> Node:
    """A client whose name nobody else has: an Envoy listens at addresses that are made of it."""
    return Node(f"caller-{os.getpid()}-{next(_names)}")


def speaks_http(*services: str) -> dict[str, ServiceSettings]:
    """Settings by which everybody knows that these services speak HTTP on PORT."""
    return {name: ServiceSettings(name, ports={PORT: Protocol.HTTP}) for name in services}


class Control:
    """The server, as its clients and `status` see it."""

    def __init__(self, port: XdsPort, url: str, life: trio.CancelScope, ended: trio.Event) -> None:
        self.port = port
        self._life = life
        self._ended = ended
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self.place = (parts.hostname, parts.port)
        self._clients: list[trio.SocketStream] = []

    def states(self, node: str = "") -> dict[str, str]:
        """Type → state of one client, or of the only one."""
        return {row["type"]: row["state"] for row in self.port.rows() if node in ("", row["node"])}

    def version(self, kind: str) -> str:
        """What the only client was told of a type."""
        version: str = next(row["version"] for row in self.port.rows() if row["type"] == kind)
        return version

    async def until(self, **states: str) -> None:
        """Wait until the client's types are in these states."""
        with trio.fail_after(20):
            while not states.items() <= self.states().items():  # noqa: ASYNC110 - clients tell nobody
                await trio.sleep(0.005)

    async def connect(self) -> trio.SocketStream:
        """A client, whose socket is closed with the server at the latest."""
        self._clients.append(await trio.open_tcp_stream(*self.place))
        return self._clients[-1]

    async def end(self) -> None:
        """End as a mesh does, and wait until it has."""
        self._life.cancel()
        with trio.fail_after(10):
            await self._ended.wait()

    def close(self) -> None:
        for client in self._clients:
            client.socket.close()


@asynccontextmanager
async def control(net: Net, port: int = 0) -> AsyncIterator[Control]:
    made = XdsPort(net.snapshot, net.discovered)
    life, ended = trio.CancelScope(), trio.Event()

    async def serve(task_status: trio.TaskStatus[str]) -> None:
        with life:
            await made.serve("127.0.0.1", port, task_status=task_status)
        ended.set()

    async with trio.open_nursery() as nursery:
        server = Control(made, await nursery.start(serve), life, ended)
        try:
            yield server
        finally:
            server.close()
            life.cancel()


class Envoy:
    """A running Envoy that stands before a caller."""

    def __init__(self, process: trio.Process, node: Node, folder: Path) -> None:
        self.process = process
        self._addresses = OwnAddresses(node)
        self._admin = folder / "admin-address"
        self._log = folder / "envoy.log"

    def address(self, service: str) -> tuple[str, int]:
        """Where its caller finds a service."""
        return self._addresses.of(service), PORT

    async def get(self, service: str, path: str = "/", **headers: str) -> bytes:
        """The answer to a request; waits for a listener that is not there yet."""
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with trio.fail_after(20):
            while True:
                try:
                    stream = await trio.open_tcp_stream(*self.address(service))
                except OSError:
                    await trio.sleep(0.005)
                    continue
                async with stream:
                    await stream.send_all(
                        f"GET {path} HTTP/1.1\r\nHost: {service}\r\nConnection: close\r\n{fields}\r\n".encode()
                    )
                    answer = b""
                    while data := await stream.receive_some():
                        answer += data
                    return answer

    async def admin(self, path: str) -> str:
        """What its own admin port says."""
        with trio.fail_after(20):
            while not self._admin.exists():  # noqa: ASYNC110 - Envoy writes it when it listens
                await trio.sleep(0.005)
        url = f"http://{self._admin.read_text()}{path}"
        return await trio.to_thread.run_sync(lambda: urlopen(url, timeout=10).read().decode())

    def log(self) -> str:
        return self._log.read_text(errors="replace")


@asynccontextmanager
async def envoy(server: Control, folder: Path, transport: Transport, node: Node) -> AsyncIterator[Envoy]:
    """An Envoy that takes everything from the mesh."""
    made = bootstrap(node, server.place, transport, ("127.0.0.1", 0))
    file = folder / "bootstrap.json"
    file.write_text(json.dumps(made))
    command = [
        *(str(ENVOY), "--config-path", str(file), "--concurrency", "1", "--disable-hot-restart"),
        *("--log-level", "warning", "--admin-address-path", str(folder / "admin-address")),
    ]
    with (folder / "envoy.log").open("wb") as log:
        process = await trio.lowlevel.open_process(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield Envoy(process, node, folder)
        finally:
            process.terminate()
            with trio.CancelScope(shield=True):
                await process.wait()
