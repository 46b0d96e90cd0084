"""Rules for tests, short: what a VirtualService and a DestinationRule compile to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from composemesh.model.policy import DestinationPolicy, Subset
from composemesh.model.route import (
    NO_CHANGE,
    Destination,
    HeaderChange,
    Headers,
    HttpMatch,
    HttpRule,
    MatchKind,
    StringMatch,
    VirtualHost,
    WeightedDestination,
)
from composemesh.model.snapshot import ServiceSettings, Snapshot
from composemesh.model.workload import Workload
from mesh.net import Handler, Net, read_until

SUBSETS = {"reviews": DestinationPolicy("reviews", subsets={v: Subset({"version": v}) for v in ("v1", "v2", "v3")})}


def exact(text: str) -> StringMatch:
    return StringMatch(MatchKind.EXACT, text)


def prefix(text: str) -> StringMatch:
    return StringMatch(MatchKind.PREFIX, text)


def regex(text: str) -> StringMatch:
    return StringMatch(MatchKind.REGEX, text)


def to(
    subset: str = "", weight: int = 0, *, host: str = "reviews", port: int = 0, **change: Any
) -> WeightedDestination:
    """An arm; `change` are the arguments of `headers`."""
    return WeightedDestination(Destination(host, subset, port), weight, headers(**change))


def headers(
    request: HeaderChange = NO_CHANGE,
    response: HeaderChange = NO_CHANGE,
) -> Headers:
    return Headers(request, response)


def rule(*arms: WeightedDestination, match: HttpMatch | tuple[HttpMatch, ...] = (), **what: Any) -> HttpRule:
    matches = match if isinstance(match, tuple) else (match,)
    return HttpRule(matches, arms or (to(),), **what)


def configure(net: Net, *rules: HttpRule, hosts: tuple[str, ...] = ("reviews",), **what: Any) -> None:
    """Publish a snapshot whose sidecars have these rules."""
    apply(net, VirtualHost(hosts, http=rules, **what))


def apply(net: Net, *virtual_hosts: VirtualHost, policies: dict[str, DestinationPolicy] = SUBSETS) -> None:
    before = net.snapshot.value
    net.snapshot.publish(Snapshot("test", services=before.services, virtual_hosts=virtual_hosts, policies=policies))


async def applied(net: Net) -> None:
    """Wait until the sidecars read the snapshot that was published last."""
    with trio.fail_after(5):
        while net.fleet.planner.table.virtual_hosts is not net.snapshot.value.virtual_hosts:
            await trio.lowlevel.checkpoint()


@asynccontextmanager
async def planned_anew(net: Net) -> AsyncIterator[None]:
    """What is changed meanwhile has a plan made for it, and sidecars go by that one afterwards."""
    before = net.fleet.planner.plan
    yield
    with trio.fail_after(5):
        while net.fleet.planner.plan is before:
            await trio.lowlevel.checkpoint()


def version(name: str, service: str = "reviews") -> ServiceSettings:
    return ServiceSettings(service, name)


async def add_versions(net: Net, *versions: str, handler: Handler | None = None) -> dict[str, Workload]:
    """Instances of `reviews`, one of each version; each answers with its version as the body."""
    services = {f"reviews-{name}": version(name) for name in versions}
    net.snapshot.publish(Snapshot("test", services={**net.snapshot.value.services, **services}))
    found = {}
    for name in versions:
        found[name] = net.add(f"reviews-{name}")
        await net.serve(found[name], handler or telling(name.encode()))
    return found


def telling(name: bytes, seen: list[bytes] | None = None) -> Handler:
    """An application that answers with its own name, and in `x-echo` what it was asked; bodies must have a length."""

    async def handle(stream: trio.SocketStream) -> None:
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = await stream.receive_some()
                if not more:
                    return
                data += more
            head, _, data = data.partition(b"\r\n\r\n")
            length = 0
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            while len(data) < length:
                data += await stream.receive_some()
            body, data = data[:length], data[length:]
            if seen is not None:
                seen.append(head + b"\r\n\r\n" + body)
            await stream.send_all(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nx-from: %b\r\nx-target: %b\r\n\r\n%b"
                % (len(name), name, head.split(b" ")[1], b"" if head.startswith(b"HEAD") else name)
            )

    return handle


class Client:
    """One connection of the caller to an address, for one request after the other."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream

    async def ask(
        self,
        target: str | bytes = "/",
        *,
        host: str = "reviews",
        method: str = "GET",
        body: bytes = b"",
        fields: dict[str, str] | None = None,
    ) -> Answer:
        said = {"Host": host, **(fields or {})}
        if body:
            said["Content-Length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
        path = target.encode() if isinstance(target, str) else target
        await self.stream.send_all(method.encode() + b" " + path + b" HTTP/1.1\r\n" + lines.encode() + b"\r\n" + body)
        return await self.read(method)

    async def read(self, method: str = "GET") -> Answer:
        data = await read_until(self.stream, b"\r\n\r\n")
        head, _, body = data.partition(b"\r\n\r\n")
        answer = Answer(head)
        length = 0 if method == "HEAD" else int(answer.fields.get("content-length", "0"))
        with trio.fail_after(5):
            while len(body) < length:
                body += await self.stream.receive_some()
        answer.body = body
        return answer


class Answer:
    """A response: status, fields by lowercase name (the last of several), body."""

    def __init__(self, head: bytes) -> None:
        status, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(status.split(" ")[1])
        self.lines = [line.partition(": ")[::2] for line in lines]
        self.fields = {name.lower(): value for name, value in self.lines}
        self.body = b""

    def __repr__(self) -> str:
        return f"<Answer {self.status} {self.fields} {self.body!r}>"


async def connect(net: Net, workload: Workload, **how: Any) -> Client:
    return Client(await net.connect(workload, **how))
