"""A real Envoy that a workload's connections are redirected to, as Istio's sidecars have it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from composemesh.model.snapshot import Egress, MeshSettings, Protocol, ServiceSettings, Snapshot
from composemesh.model.workload import Attachment, Discovered, Workload
from composemesh.xds.bootstrap import static
from composemesh.xds.resources import Generated, Node, generate
from environment.tools import find
from netns.namespaces import Host, close_all
from unit.config.istio import compiled

pytestmark = pytest.mark.root

ENVOY = find("envoy")
ECHO = Path(__file__).parents[1] / "xds" / "echo.py"
GROUP = "7331"
"""Whose connections are left alone: the Envoy runs under it."""
HTTP, TCP, OTHER = 8080, 3306, 8088
RULES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo}
spec:
  hosts: [echo]
  http:
    - match: [{headers: {x-version: {exact: v2}}}]
      route: [{destination: {host: echo, subset: v2}}]
    - match: [{uri: {prefix: /teapot}}]
      directResponse: {status: 418}
    - route: [{destination: {host: echo, subset: v1}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo}
spec:
  host: echo
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db}
spec:
  hosts: [db]
  tcp: [{route: [{destination: {host: spare}}]}]
"""


@pytest.fixture
async def wired(app: Host, peer: Host) -> AsyncIterator[None]:
    """Five services on the peer, each at an address of its own, and rules that lead `app` to an Envoy of its own."""
    for number in range(2, 7):
        if number > 2:
            peer.run("ip", "address", "add", f"10.99.7.{number}/24", "dev", "eth0")
    outbound = ["iptables", "-t", "nat", "-A", "OUTPUT", "-p", "tcp"]
    app.run(*outbound, "-m", "owner", "--gid-owner", GROUP, "-j", "RETURN")
    app.run(*outbound, "-d", "10.99.7.0/24", "-j", "REDIRECT", "--to-ports", "15001")
    async with AsyncExitStack() as stack:
        for name, address in (
            ("echo-v1", f"10.99.7.2:{HTTP}"),
            ("echo-v2", f"10.99.7.3:{HTTP}"),
            ("db", f"10.99.7.4:{TCP}"),
            ("spare", f"10.99.7.5:{TCP}"),
            ("stranger", f"10.99.7.6:{HTTP}"),
            ("further", f"10.99.7.6:{OTHER}"),
        ):
            await stack.enter_async_context(inside(peer, sys.executable, str(ECHO), address, HOSTNAME=name))
            await listens(peer, address)
        yield
        close_all()


@asynccontextmanager
async def inside(host: Host, *command: str, **environment: str) -> AsyncIterator[None]:
    """A program that runs in the host's namespace."""
    entered = ["nsenter", "-t", str(host.pid), "-n", *command]
    process = await trio.lowlevel.open_process(entered, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()


async def listens(host: Host, address: str) -> None:
    """Wait until something listens there."""
    with trio.fail_after(20):
        while address not in host.run("ss", "-Hltn"):  # noqa: ASYNC110  the kernel tells nobody
            await trio.sleep(0.02)


def told(egress: Egress = Egress.ALLOW) -> Generated:
    """What an Envoy before `app` is told of the services on the peer."""

    def workload(name: str, service: str, number: int, port: int) -> Workload:
        place = Attachment("wire", "wire", (f"10.99.7.{number}",), (service, name))
        return Workload(name, f"shop-{name}-1", name, "1", 1, (place,), ports=(port,))

    said = compiled(RULES, ("echo", "db", "spare"))
    versions = {f"echo-{version}": ServiceSettings("echo", version) for version in ("v1", "v2")}
    databases = {name: ServiceSettings(name, ports={TCP: Protocol.TCP}) for name in ("db", "spare")}
    snapshot = Snapshot(
        "shop",
        mesh=MeshSettings(egress=egress),
        services={**versions, **databases},
        virtual_hosts=said.virtual_hosts,
        policies=said.policies,
    )
    running = (
        replace(workload("app", "app", 1, 80), name="shop-app-1"),
        workload("echo-v1", "echo", 2, HTTP),
        workload("echo-v2", "echo", 3, HTTP),
        workload("db", "db", 4, TCP),
        workload("spare", "spare", 5, TCP),
    )
    return generate(snapshot, Discovered(running), NODE)


NODE = Node("sidecar~shop-app-1", metadata={"LISTEN": "original_dst"})


@asynccontextmanager
async def envoy(app: Host, said: Generated) -> AsyncIterator[None]:
    if ENVOY is None:
        pytest.skip("Envoy is not here: `make environment` fetches it")
    config = json.dumps(static(NODE, said, None))
    command = ["setpriv", "--regid", GROUP, "--clear-groups", str(ENVOY), "--config-yaml", config]
    async with inside(app, *command, "--disable-hot-restart", "--concurrency", "1", "-l", "error", PATH="/usr/bin"):
        await listens(app, "0.0.0.0:15001")
        yield


async def get(app: Host, address: str, port: int, host: str, path: str = "/", *fields: str) -> tuple[int, str]:
    """The status of an answer, and who gave it; 0 where the connection was closed without one."""
    stream = await app.connect(address, port)
    lines = (f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", *fields, "", "")
    answer = b""
    with trio.fail_after(10), suppress(trio.BrokenResourceError):
        await stream.send_all("\r\n".join(lines).encode())
        async for data in stream:
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]), json.loads(body)["who"] if body.startswith(b"{") else "") if head else (0, "")


async def test_connections_come_to_where_rules_lead_them(app: Host, wired: None) -> None:
    async with envoy(app, told()):
        for address in ("10.99.7.2", "10.99.7.3"):  # whichever of them its resolver gave the application
            assert await get(app, address, HTTP, f"echo:{HTTP}") == (200, "echo-v1")
            assert await get(app, address, HTTP, "echo", "/", "X-Version: v2") == (200, "echo-v2")
            assert await get(app, address, HTTP, "echo.default.svc.cluster.local", "/teapot") == (418, "")
            assert await get(app, address, HTTP, "echo-v2") == (200, "echo-v2")
        assert await get(app, "10.99.7.4", TCP, "db") == (200, "spare")
        assert await get(app, "10.99.7.6", HTTP, "stranger") == (200, "stranger")
        assert await get(app, "10.99.7.6", OTHER, "further") == (200, "further")


async def test_what_nobody_declares_is_out_of_reach_where_egress_says_so(app: Host, wired: None) -> None:
    async with envoy(app, told(Egress.REGISTRY_ONLY)):
        assert await get(app, "10.99.7.2", HTTP, "echo") == (200, "echo-v1")
        assert await get(app, "10.99.7.4", TCP, "db") == (200, "spare")
        assert await get(app, "10.99.7.6", HTTP, "stranger") == (502, "")
        assert await get(app, "10.99.7.6", OTHER, "further") == (0, "")
