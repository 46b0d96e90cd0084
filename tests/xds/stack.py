"""Bookinfo as processes of this host, whose mesh comes and goes; and real Envoys before a caller."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import trio

from composemesh import app
from composemesh.admin.mesh_view import MeshView
from composemesh.capture.loopback import Doors, LoopbackCapture, open_doors
from composemesh.cli.bookinfo import bookinfo
from composemesh.config.loaders.resolved import Resolved
from composemesh.model.workload import Discovered
from composemesh.runtime.latest import Latest
from composemesh.stack.client import MeshClient
from composemesh.stack.examples import example
from composemesh.stack.processes import Process, Processes
from environment.tools import find

CALLER = "productpage"
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
"""All that the processes inherit."""
PATIENCE = 20.0
"""Seconds within which what is awaited must come, on a machine that is busy with other things."""
LOOK = 0.02
"""Seconds between two looks at what tells nobody when it changes."""
Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0 where no whole answer did."""

    status: int
    fields: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0

    @property
    def pod(self) -> str:
        """Which of Bookinfo's processes answered: `reviews-v1`."""
        return str(json.loads(self.body)["podname"])


async def ask(
    address: Address, path: str, *, method: str = "GET", host: str = "reviews:9080", **headers: str
) -> Answer:
    """One request on a connection of its own. In names of headers an underscore is a hyphen."""
    began = trio.current_time()
    said = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    request = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{said}\r\n"
    received = b""
    try:
        async with await trio.open_tcp_stream(*address) as stream:
            await stream.send_all(request.encode())
            async for data in stream:
                received += data
                if _is_whole(method, received):
                    break  # of its own answers Envoy lets a second pass before it closes
    except (OSError, trio.BrokenResourceError):
        return Answer(0)
    head, _, body = received.partition(b"\r\n\r\n")
    line, *rest = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in rest)}
    status = int(line.split()[1]) if _is_whole(method, received) else 0
    return Answer(
        status, fields, _joined(body) if "transfer-encoding" in fields else body, trio.current_time() - began
    )


def _is_whole(method: str, received: bytes) -> bool:
    head, blank, body = received.partition(b"\r\n\r\n")
    if method == "HEAD" or b" 204 " in head[:16]:
        return bool(blank)
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return bool(blank) and (len(body) == int(length[1]) if length is not None else body.endswith(b"0\r\n\r\n"))


def _joined(chunked: bytes) -> bytes:
    found = b""
    while chunked:
        size, _, chunked = chunked.partition(b"\r\n")
        length = int(size, 16)
        found, chunked = found + chunked[:length], chunked[length + 2 :]
    return found


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Look until something is so. Raises trio.TooSlowError."""
    with trio.fail_after(PATIENCE):
        while not await holds():  # noqa: ASYNC110  strangers tell nobody
            await trio.sleep(LOOK)


# === the mesh ===


class Stack:
    """Processes that know nothing of a mesh, and live whether or not there is one."""

    def __init__(self, folder: Path, doors: dict[str, Doors], discovered: Latest[Discovered]) -> None:
        self.folder = folder
        self.doors = doors
        self.discovered = discovered
        with free_port() as self._port:
            pass

    async def _resolve(self) -> Resolved:
        """A Compose file that has each life of the mesh serve xDS at the same port."""
        return Resolved(f"name: bookinfo\nservices: {{}}\nx-mesh: {{xds: '127.0.0.1:{self._port}'}}\n")

    def door(self, host: str) -> Address:
        """Where our own sidecar of the caller takes requests for a host."""
        return self.doors[f"process:{CALLER}"].calls[host]

    async def watch(self, publish: Callable[[Discovered], None]) -> None:
        """Be a source."""
        async for state in self.discovered:
            publish(state)

    @asynccontextmanager
    async def mesh(self) -> AsyncIterator[Mesh]:
        """One life of the mesh. Its doors outlive it, as its services do: who knocks in between waits."""
        doors = {
            name: replace(
                each,
                outbound=[door.dup() for door in each.outbound],
                inbound=[door.dup() for door in each.inbound],
            )
            for name, each in self.doors.items()
        }
        capture = LoopbackCapture(self.discovered, doors)
        options = app.MeshOptions(
            "bookinfo", self.folder, resolve=self._resolve, admin="127.0.0.1:0", capture="loopback"
        )
        async with trio.open_nursery() as nursery:
            view = await nursery.start(
                lambda task_status: app.run(options, sources=[self], capture=capture, task_status=task_status)
            )
            yield Mesh(view, MeshClient(self.folder / "admin.sock"))
            nursery.cancel_scope.cancel()


@dataclass(frozen=True, slots=True)
class Mesh:
    """A mesh that serves, asked as the commands ask it."""

    view: MeshView
    client: MeshClient

    async def apply(self, text: str) -> None:
        """Change it by documents."""
        said = await trio.to_thread.run_sync(lambda: self.client.change([("mesh.yaml", text)]))
        assert said["accepted"], said

    async def status(self) -> dict[str, Any]:
        return await trio.to_thread.run_sync(self.client.status)

    async def export(self, transport: str, admin: int) -> dict[str, Any]:
        """What an Envoy before the caller is started with, and where it will listen."""
        server, admin_address = self.view.xds_url, f"127.0.0.1:{admin}"
        return await trio.to_thread.run_sync(
            lambda: self.client.export_envoy(caller=CALLER, server=server, transport=transport, admin=admin_address)
        )


@asynccontextmanager
async def running_bookinfo(folder: Path) -> AsyncIterator[Stack]:
    """All six processes, listening."""
    with example("bookinfo") as source:
        async with running(bookinfo(source), folder) as stack:
            yield stack


@asynccontextmanager
async def running(processes: Sequence[Process], folder: Path) -> AsyncIterator[Stack]:
    """These processes, listening; one of them is the caller."""
    with ExitStack() as stack:
        doors = open_doors([process.member for process in processes])
        for each in doors.values():
            stack.callback(each.close)
        source = Processes(processes, doors, folder, ENVIRONMENT)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(source.watch, lambda _: None)
            with trio.fail_after(PATIENCE):
                await source.listening()
            yield Stack(folder, doors, source.discovered)
            nursery.cancel_scope.cancel()


# === Envoys ===


class Envoy:
    """A real one, running."""

    def __init__(self, admin: int, addresses: Mapping[str, Address]) -> None:
        self.admin: Address = ("127.0.0.1", admin)
        self.addresses = addresses
        """Host → where the caller finds it."""

    async def serves(self, host: str) -> None:
        """Wait until it listens for calls to a host."""

        async def listens() -> bool:
            try:
                stream = await trio.open_tcp_stream(*self.addresses[host])
            except OSError:
                return False
            await stream.aclose()
            return True

        await until(listens)

    async def stats(self, pattern: str) -> dict[str, int]:
        """Counters whose names match."""
        said = (await ask(self.admin, f"/stats?filter={pattern}&format=json")).body
        return {each["name"]: each["value"] for each in json.loads(said)["stats"] if "name" in each}


@asynccontextmanager
async def running_envoy(mesh: Mesh, transport: str, folder: Path) -> AsyncIterator[Envoy]:
    """An Envoy before the caller, which asks the mesh for everything."""
    program = find("envoy")
    if program is None:
        pytest.skip("Envoy is not here: `make environment` fetches it")
    with free_port() as admin:
        said = await mesh.export(transport, admin)
    file = folder / "envoy.json"
    file.write_text(json.dumps(said["bootstrap"]))
    command = [str(program), "-c", str(file), "--disable-hot-restart", "--concurrency", "1", "-l", "warning"]
    with (folder / "envoy.log").open("wb") as log:
        process = await trio.lowlevel.open_process(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield Envoy(admin, {each["host"]: (each["address"], each["port"]) for each in said["addresses"]})
    finally:
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()


@contextmanager
def free_port() -> Iterator[int]:
    """A port that nobody has while the block runs, and hardly anybody will have right after."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]
