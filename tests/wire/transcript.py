"""Everything that anybody sees of a conversation through the proxy, to be compared with another of the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import trio
import trio.testing

from composemesh.model.record import Record
from composemesh.model.route import HttpRule, VirtualHost
from composemesh.model.snapshot import Protocol, ServiceSettings, Snapshot
from mesh.net import PORT, Net, read_until
from wire.origin import Origin

WARM = b"GET /warm HTTP/1.1\r\nHost: app\r\n\r\n"
_NEVER_THE_SAME = re.compile(rb"(?m)^(x-request-id|x-envoy-upstream-service-time): [0-9a-f-]+\r$")
_NEVER_TOO = ("duration", "request_id", "start", "upstream_address", "upstream_duration", "x_forwarded_for")


@dataclass(frozen=True)
class Transcript:
    """Ids and times are left out: they are never the same."""

    client: bytes
    """What the client heard."""
    end: str
    origin: bytes
    """What the application heard, over however many connections: one that is pruned meanwhile is another one less."""
    records: tuple[dict[str, Any], ...]


class Stage:
    """One mesh with one caller and the tolerant application."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.origin = Origin()
        self.app = net.add("app")

    async def start(self, *rules: HttpRule) -> None:
        """`rules` are those of the application, if it has any."""
        settings = ServiceSettings("app", "v1", ports={PORT: Protocol.HTTP})
        hosts = (VirtualHost(("app",), http=rules),) if rules else ()
        self.net.snapshot.publish(Snapshot("test", services={"app": settings}, virtual_hosts=hosts))
        await self.net.serve(self.app, self.origin)

    async def play(self, said: list[bytes], answers: tuple[list[bytes], bool] | None = None) -> Transcript:
        """A client says all that, and hears how each is answered; `answers` is what the application does (as
        `Origin.scripted`). A first exchange is over before: a connection's first is nothing for the lane."""
        self.origin.scripted = None
        self.origin.forget()
        self.net.records.all.clear()
        client = await self.net.connect(self.app)
        await client.send_all(WARM)
        await read_until(client, b"\r\n\r\nok")
        self.origin.scripted = answers
        heard, end = bytearray(), "open"

        async def listen() -> None:
            nonlocal end
            try:
                while more := await client.receive_some():
                    heard.extend(more)
                end = "closed"
            except trio.BrokenResourceError:
                end = "reset"

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            for piece in said:
                try:
                    await client.send_all(piece)
                except trio.BrokenResourceError:
                    pass
                await quiet()
            if not heard and end == "open":
                await trio.sleep(0.3)  # requests are tried again, with pauses
            so_far = -1
            while len(heard) > so_far:
                so_far = len(heard)
                await quiet(0.005)
            nursery.cancel_scope.cancel()
        await client.aclose()
        with trio.fail_after(5):
            while any(sidecar.connections for sidecar in self.net.fleet.sidecars.values()):
                await quiet()
        records = tuple(map(_shown, self.net.records.all))
        return Transcript(_timeless(bytes(heard)), end, _timeless(b"".join(self.origin.heard)), records)


async def quiet(cushion: float = 0.002) -> None:
    await trio.testing.wait_all_tasks_blocked(cushion)


def _timeless(data: bytes) -> bytes:
    return _NEVER_THE_SAME.sub(rb"\1: -\r", data)


def _shown(record: Record) -> dict[str, Any]:
    shown = {name: getattr(record, name) for name in dir(Record) if name[0] != "_" and name not in _NEVER_TOO}
    return shown | {name: (shown[name].service, shown[name].kind) for name in ("source", "destination")}
