"""Rules and policies for the tests of this folder: one service, `app`, that speaks HTTP."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from composemesh.model.policy import (
    Balance,
    ConnectionLimits,
    DestinationPolicy,
    OutlierDetection,
    Retry,
    Subset,
    TrafficPolicy,
)
from composemesh.model.route import Destination, HttpRule, VirtualHost, WeightedDestination
from composemesh.model.snapshot import Protocol, ServiceSettings, Snapshot
from composemesh.proxy.policies import Policy
from mesh.net import PORT, Handler, Net

NO = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"
POST = b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 2\r\n\r\nhi"


def say(
    net: Net,
    *,
    retry: Retry | None = None,
    timeout: float | None = None,
    connections: ConnectionLimits | None = None,
    outliers: OutlierDetection | None = None,
    balance: Balance | None = None,
    subset: str = "",
    subsets: Mapping[str, Subset] | None = None,
    ports: Mapping[int, TrafficPolicy] | None = None,
    protocol: Protocol = Protocol.HTTP,
) -> None:
    """Configure the mesh: this is all that is said of calls to `app`."""
    hosts: tuple[VirtualHost, ...] = ()
    if retry is not None or timeout or subset:
        arms = (WeightedDestination(Destination("app", subset)),)
        rule = HttpRule(destinations=arms, retry=retry, timeout=timeout)
        hosts = (VirtualHost(hosts=("app",), http=(rule,)),)
    policy = DestinationPolicy(
        "app", TrafficPolicy(balance, connections, outliers), ports=ports or {}, subsets=subsets or {}
    )
    settings = ServiceSettings("app", "v1", ports={PORT: protocol})
    net.snapshot.publish(Snapshot("test", services={"app": settings}, virtual_hosts=hosts, policies={"app": policy}))


def bound(net: Net, subset: str = "", port: int = PORT) -> Policy:
    """The live policy of calls to `app`."""
    policies = net.fleet.planner.policies.of("app", subset)
    assert policies is not None
    policy = policies[port]
    assert policy is not None
    return policy


class Gate:
    """An application that answers when it is told to, and can be watched."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked = 0
        self.open = trio.Event()
        self._came = trio.Event()

    async def __call__(self, stream: trio.SocketStream) -> None:
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = await stream.receive_some()
                if not more:
                    return
                data += more
            data = data.partition(b"\r\n\r\n")[2].removeprefix(b"hi")
            self.asked += 1
            self._came.set()
            await self.open.wait()
            await stream.send_all(self.answer)

    async def came(self, count: int) -> None:
        """Wait until so many requests have come."""
        with trio.fail_after(10):
            while self.asked < count:
                self._came = trio.Event()
                await self._came.wait()


def in_turn(*answers: bytes, seen: list[bytes] | None = None) -> Handler:
    """An application that answers its requests, on whatever connection, with these answers one after the other; the
    last is for all that follow. An empty one closes the connection instead."""
    left = list(answers)

    async def handle(stream: trio.SocketStream) -> None:
        data = b""
        while more := await stream.receive_some():
            data += more
            while b"\r\n\r\n" in data:
                head, _, data = data.partition(b"\r\n\r\n")
                length = next(
                    (line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), b":0"
                )
                count = int(length.partition(b":")[2])
                while len(data) < count:
                    more = await stream.receive_some()
                    if not more:
                        return
                    data += more
                if seen is not None:
                    seen.append(head + b"\r\n\r\n" + data[:count])
                data = data[count:]
                answer = left.pop(0) if len(left) > 1 else left[0]
                if not answer:
                    await stream.aclose()
                    return
                await stream.send_all(answer)

    return handle
