"""A Docker engine in small: a server on a Unix socket that speaks the engine's HTTP, and does as the test says."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import trio

PROJECT = "shop"
IMAGE = "sha256:" + "ab" * 32


def identity(number: int) -> str:
    """A container's id, as long as the engine's."""
    return f"{number:064x}"


def inspected(number: int, service: str = "web", **changes: Any) -> dict[str, Any]:
    """What an engine says of a container that Compose made, as far as anybody reads it."""
    name = changes.pop("name", f"{PROJECT}-{service}-{number}")
    state = {
        "Status": "running",
        "Running": True,
        "Paused": False,
        "Restarting": False,
        "Pid": 1000 + number,
        "StartedAt": "2026-11-20T19:16:27.930075686Z",
    }
    labels = {
        "com.docker.compose.project": PROJECT,
        "com.docker.compose.service": service,
        "com.docker.compose.config-hash": "4c146bb0",
        "com.docker.compose.container-number": str(number),
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.project.config_files": "/srv/shop/compose.yaml",
        "com.docker.compose.project.working_dir": "/srv/shop",
    }
    network = {
        "Aliases": [name, service, identity(number)[:12]],
        "NetworkID": "d0c8f9d669da",
        "IPAddress": f"172.29.77.{number + 1}",
        "GlobalIPv6Address": f"fd00:77::{number + 1:x}",
    }
    return {
        "Id": identity(number),
        "Name": "/" + name,
        "State": state | changes.pop("state", {}),
        "Image": changes.pop("image", IMAGE),
        "HostConfig": {"NetworkMode": changes.pop("mode", f"{PROJECT}_default")},
        "Config": {
            "Image": "shop/web:1",
            "Labels": labels | changes.pop("labels", {}),
            "ExposedPorts": {"8080/tcp": {}, "9080": {}, "53/udp": {}},
            "StopSignal": "SIGUSR1",
            "StopTimeout": 3,
        }
        | changes.pop("config", {}),
        "NetworkSettings": {
            "Ports": {"8080/tcp": None, "9090/tcp": None},
            "Networks": {f"{PROJECT}_default": network},
        },
        **changes,
    }


def event(
    action: str,
    number: int,
    *,
    type: str = "container",  # noqa: A002 - the engine's own word
    at: float | None = None,
    **attributes: str,
) -> dict[str, Any]:
    """One event as the engine words it; `at` in seconds since the epoch, far in the future where unsaid."""
    nanoseconds = int((at if at is not None else 4_000_000_000) * 1e9)
    if type == "network":
        return {
            "Type": type,
            "Action": action,
            "Actor": {"ID": "d0c8f9d669da", "Attributes": {"container": identity(number), **attributes}},
            "timeNano": nanoseconds,
        }
    attributes = {"com.docker.compose.project": PROJECT, **attributes}
    actor = {"ID": identity(number), "Attributes": attributes}
    return {"Type": type, "Action": action, "Actor": actor, "timeNano": nanoseconds}


def answer(body: object, status: int = 200, reason: str = "OK") -> bytes:
    """A whole response in the engine's wire form."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


class Engine:
    """What it knows can be changed at any time; what it was asked can be read at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.containers: dict[str, dict[str, Any]] = {}
        self.images: dict[str, dict[str, Any]] = {IMAGE: {"Config": {"Labels": None}}}
        self.scripts: dict[str, Callable[[trio.SocketStream], Awaitable[object]]] = {}
        """By the start of a path without its version: a coroutine that answers in the engine's stead."""
        self.heads: list[bytes] = []
        self.connections: set[trio.SocketStream] = set()
        self.most_connections = 0
        self.streams: list[trio.SocketStream] = []
        self.subscriptions = 0
        self._changed = trio.Condition()
        self._one_voice = trio.Lock()

    @property
    def endpoint(self) -> str:
        return f"unix://{self.path}"

    @property
    def asked(self) -> list[str]:
        """The paths asked for so far, decoded, without version and query."""
        return [_path(head) for head in self.heads]

    def put(self, *inspects: dict[str, Any]) -> None:
        for inspect in inspects:
            self.containers[inspect["Id"]] = inspect

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Engine]:
        """Listen on the socket; at the end every connection breaks and the socket is gone, as when dockerd ends."""
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(self.path))
            listening.listen(64)
            async with trio.open_nursery() as nursery:
                listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
                nursery.start_soon(trio.serve_listeners, self._serve, [listener])
                try:
                    yield self
                finally:
                    nursery.cancel_scope.cancel()
        self.path.unlink()

    async def subscribed(self, times: int = 1) -> None:
        """Wait until the events were subscribed to so many times."""
        await self.until(lambda: self.subscriptions >= times)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something about the questions asked."""
        async with self._changed:
            while not condition():
                await self._changed.wait()

    async def say(self, *events: dict[str, Any]) -> None:
        """Send events to every subscriber, each in a chunk of its own."""
        for said in events:
            await self.say_bytes(json.dumps(said).encode() + b"\n")

    async def say_bytes(self, data: bytes) -> None:
        await self._send_all(b"%x\r\n%b\r\n" % (len(data), data))

    async def end_events(self) -> None:
        """End every stream of events in good order."""
        await self._send_all(b"0\r\n\r\n")

    async def _send_all(self, data: bytes) -> None:
        async with self._one_voice:
            for stream in self.streams:
                await stream.send_all(data)

    async def _serve(self, stream: trio.SocketStream) -> None:
        self.connections.add(stream)
        self.most_connections = max(self.most_connections, len(self.connections))
        try:
            buffer = b""
            while True:
                while b"\r\n\r\n" not in buffer:
                    received = await stream.receive_some()
                    if not received:
                        return
                    buffer += received
                head, _, buffer = buffer.partition(b"\r\n\r\n")
                await self._answer(head, stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.connections.discard(stream)
            self.streams = [other for other in self.streams if other is not stream]
            await self._notify()
            await trio.aclose_forcefully(stream)

    async def _answer(self, head: bytes, stream: trio.SocketStream) -> None:
        self.heads.append(head)
        await self._notify()
        path = _path(head)
        for start, script in self.scripts.items():
            if path.startswith(start):
                await script(stream)
                return
        if path == "/events":
            async with self._one_voice:
                self.streams.append(stream)
                self.subscriptions += 1
                await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            await self._notify()
        else:
            await stream.send_all(self._known(path, head))

    def _known(self, path: str, head: bytes) -> bytes:
        match path.strip("/").split("/"):
            case ["version"]:
                return answer({"ApiVersion": "1.41", "MinAPIVersion": "1.12"})
            case ["containers", "json"]:
                return answer(self._listed(head))
            case ["containers", name, "json"] if name in self.containers:
                return answer(self.containers[name])
            case ["images", name, "json"] if name in self.images:
                return answer(self.images[name])
        return answer({"message": f"No such thing: {path}"}, 404, "Not Found")

    def _listed(self, head: bytes) -> list[dict[str, Any]]:
        filters = json.loads(parse_qs(urlsplit(head.split(b" ")[1].decode()).query)["filters"][0])
        (key, _, value) = filters["label"][0].partition("=")
        return [
            {"Id": inspect["Id"]}
            for inspect in self.containers.values()
            if inspect["Config"]["Labels"].get(key) == value and inspect["State"]["Status"] in filters["status"]
        ]

    async def _notify(self) -> None:
        with trio.CancelScope(shield=True):
            async with self._changed:
                self._changed.notify_all()


def _path(head: bytes) -> str:
    path = unquote(urlsplit(head.split(b" ")[1].decode()).path)
    version, _, rest = path.removeprefix("/").partition("/")
    return f"/{rest}" if version.startswith("v1.") else path
