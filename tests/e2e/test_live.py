"""The configuration changes all the time, under traffic: no request fails, and each meets exactly one of them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import trio

from composemesh.stack.client import MeshClient
from e2e.meshed import meshed
from e2e.test_walkthrough import free_port
from environment.project import Project

pytestmark = [pytest.mark.docker, pytest.mark.root]

SECONDS = float(os.getenv("COMPOSEMESH_LIVE_SECONDS", "12"))
"""60 is what was promised; the default keeps the whole suite short."""
CHANGES_A_SECOND = 500 / 60
REQUESTS_A_SECOND = 200
CONNECTIONS = 16
STACK = """
services:
  app-v1:
    <<: *server
    networks: {default: {aliases: [app]}}
    expose: ["8080"]
  app-v2:
    <<: *server
    networks: {default: {aliases: [app]}}
    expose: ["8080"]
"""
RULES = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: app}}
spec:
  host: app
  trafficPolicy: {{loadBalancer: {{simple: {balancer}}}}}
  subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: app}}
spec:
  hosts: ["*"]
  gateways: [front]
  http:
  - headers: {{response: {{set: {{x-rule: "{number}"}}}}}}
    route:
    - destination: {{host: app, subset: v1}}
      weight: {weight}
      headers: {{response: {{set: {{x-arm: "{number}"}}}}}}
    - destination: {{host: app, subset: v2}}
      weight: 50
      headers: {{response: {{set: {{x-arm: "{number}"}}}}}}
"""
GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: front}}
spec: {{servers: [{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: ["*"]}}]}}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, python_image: str) -> Iterator[Project]:
    with meshed(tmp_path_factory.mktemp("live"), python_image, STACK) as made:
        yield made


def rules(number: int) -> list[tuple[str, str]]:
    balancer = ("ROUND_ROBIN", "RANDOM", "LEAST_REQUEST")[number % 3]
    return [("rules.yaml", RULES.format(number=number, weight=number % 50, balancer=balancer))]


async def connect(port: int) -> trio.SocketStream:
    """A connection to the gateway, which opens its port a moment after it was asked to."""
    with trio.fail_after(10):
        while True:
            try:
                return await trio.open_tcp_stream("127.0.0.1", port)
            except OSError:
                await trio.sleep(0.05)


async def test_many_changes_under_traffic(stack: Project) -> None:
    port = free_port(0)
    client = MeshClient(stack.state / stack.name / "admin.sock")
    assert client.change([("gateway.yaml", GATEWAY.format(port=port)), *rules(0)])["accepted"]
    answered: list[tuple[int, str, str]] = []
    generations: set[str] = set()
    ending = False

    async def ask(stream: trio.SocketStream) -> None:
        """One connection for the whole test: were it cut, this would raise."""
        while not ending:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: app\r\n\r\n")
            head = b""
            while b"\r\n\r\n" not in head:
                piece = await stream.receive_some()
                assert piece, "the connection was cut"
                head += piece
            lines, _, body = head.partition(b"\r\n\r\n")
            first, *fields = lines.decode("latin-1").split("\r\n")
            named = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
            while len(body) < int(named["content-length"]):
                body += await stream.receive_some()
            answered.append((int(first.split()[1]), named.get("x-rule", ""), named.get("x-arm", "")))
            generations.add(named.get("x-rule", ""))
            await trio.sleep(CONNECTIONS / REQUESTS_A_SECOND)

    async def keep_asking(stream: trio.SocketStream) -> None:
        async with stream:
            await ask(stream)

    async with trio.open_nursery() as nursery:
        for _ in range(CONNECTIONS):
            nursery.start_soon(keep_asking, await connect(port))
        began = trio.current_time()
        number = 0
        while trio.current_time() < began + SECONDS:
            number += 1
            change = await trio.to_thread.run_sync(client.change, rules(number))
            assert change["accepted"]
            await trio.sleep_until(began + number / CHANGES_A_SECOND)
        ending = True

    assert len(answered) > SECONDS * REQUESTS_A_SECOND / 3  # a busy machine asks less often
    assert {status for status, _, _ in answered} == {200}
    assert all(rule == arm != "" for _, rule, arm in answered)
    assert len(generations) > number / 2
