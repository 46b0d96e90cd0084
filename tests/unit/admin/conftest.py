"""A mesh of a few workloads with some traffic, and its admin server on a free port."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from composemesh.admin.api import make_app
from composemesh.admin.mesh_view import MeshView
from composemesh.admin.server import serve
from composemesh.config.publish import Publisher
from composemesh.model.flag import Flag
from composemesh.model.peer import Peer, PeerKind
from composemesh.model.record import Record
from composemesh.model.snapshot import ServiceSettings, Snapshot
from composemesh.model.workload import Attachment, Discovered, Workload
from composemesh.runtime.captured import Captured, Captures, HostNamespace
from composemesh.runtime.latest import Latest
from composemesh.telemetry.hub import Hub

TOKEN = "the-token-of-this-mesh"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def workload(compose_service: str, number: int = 1, **more: Any) -> Workload:
    name = f"shop-{compose_service}-{number}"
    address = f"10.0.0.{len(compose_service) + number}"
    place = Attachment("n1", "shop_default", (address, "fd00::1"), (compose_service,))
    return Workload(f"id-{name}", name, compose_service, "2026-11-20T00:00:00Z", 100, (place,), **more)


def captured(*workloads: Workload, refused: dict[str, str] | None = None) -> Captures:
    def nowhere(_sock: object) -> None:
        return None

    made = {one.life: Captured(one, HostNamespace(), (), (), nowhere, frozenset) for one in workloads}
    return Captures(made, refused or {})


def peer(name: str, kind: PeerKind = PeerKind.SERVICE, number: int = 1) -> Peer:
    service, _, version = name.partition("/")
    return Peer(service, version or "latest", f"shop-{service}-{number}", kind, captured=True)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def mesh(clock: Clock) -> MeshView:
    page, reviews = workload("productpage"), workload("reviews-v1")
    settings = {"reviews-v1": ServiceSettings("reviews", "v1")}
    discovered = Latest(Discovered((page, reviews)))
    return MeshView(
        project="shop",
        discovered=discovered,
        snapshot=Latest(Snapshot("shop", services=settings)),
        captures=Latest(captured(page, reviews)),
        problems=Latest(()),
        hub=Hub(clock),
        publisher=Publisher("shop", discovered),
        ready=True,
    )


@pytest.fixture
def tell(mesh: MeshView) -> Callable[..., None]:
    def say(
        source: Peer, destination: Peer, code: int = 200, *, duration: float = 0.02, protocol: str = "http"
    ) -> None:
        record = Record(source, destination, protocol)
        record.response_code, record.duration, record.flag = code, duration, Flag.NONE
        record.bytes_sent, record.bytes_received = 100, 10
        mesh.hub.tell(record)

    return say


@dataclass
class Served:
    url: str
    port: int
    socket: Path
    nursery: trio.Nursery

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def say(self, data: bytes) -> bytes:
        """Send, and read until the server closes."""
        async with await self.connect() as stream:
            return await converse(stream, data)

    async def post(self, path: str, text: str, *more: str) -> tuple[int, Any]:
        """Status and JSON of one POST."""
        body = text.encode()
        head = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Content-Length: {len(body)}", *more]
        answer = await self.say("\r\n".join([*head, "Connection: close", "", ""]).encode() + body)
        status, _, said = parse(answer)
        return status, json.loads(said)

    async def get(
        self, path: str, *more: str, method: str = "GET", host: str = ""
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, fields and body of one request on a connection of its own."""
        head = [f"{method} {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{self.port}'}", "Connection: close", *more]
        return parse(await self.say("\r\n".join([*head, "", ""]).encode()))


async def converse(stream: trio.SocketStream, data: bytes) -> bytes:
    answer = b""
    with trio.fail_after(8):
        try:
            await stream.send_all(data)
            while piece := await stream.receive_some():
                answer += piece
        except trio.BrokenResourceError:
            pass  # cut off: what came until then is the answer
    return answer


def parse(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    named = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
    if named.get("transfer-encoding") == "chunked":
        body = dechunk(body)
    return int(first.split()[1]), named, body


def dechunk(data: bytes) -> bytes:
    out = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return out
        out, data = out + data[:length], data[length + 2 :]


@pytest.fixture
async def server(mesh: MeshView, tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Served]:
    path = tmp_path / "admin.sock"
    url = await nursery.start(partial(serve, make_app(mesh, TOKEN), host="127.0.0.1", port=0, unix_path=path))
    yield Served(url, int(url.rpartition(":")[2]), path, nursery)
    nursery.cancel_scope.cancel()
