"""Capture of real containers: Docker's own rules, published ports, restarts, networks joined later."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from composemesh.capture.netns import NetworkNamespace
from composemesh.capture.refusal import Refused
from composemesh.model.workload import Discovered, Workload
from netns.namespaces import Mesh, Told, accepted, destination, keep

pytestmark = [pytest.mark.root, pytest.mark.docker]


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout.strip()


@dataclass
class Container:
    name: str
    network: str
    port: int = 0

    @property
    def workload(self) -> Workload:
        told = json.loads(docker("inspect", self.name))[0]
        return Workload(told["Id"], self.name, "app", told["State"]["StartedAt"], told["State"]["Pid"])

    @property
    def address(self) -> str:
        return str(
            json.loads(docker("inspect", self.name))[0]["NetworkSettings"]["Networks"][self.network]["IPAddress"]
        )

    def rules(self) -> list[str]:
        inside = ["nsenter", "-t", str(self.workload.pid), "-n"]
        tables = (subprocess.check_output([*inside, save, "-t", "nat"], text=True) for save in SAVES)
        return [line for table in tables for line in table.splitlines() if line.startswith("-A")]


SAVES = ("iptables-save", "ip6tables-save")


@pytest.fixture
def container(python_image: str) -> Iterator[Container]:
    name = f"capture-{uuid4().hex[:8]}"
    docker("network", "create", name)
    try:
        command = ["busybox", "httpd", "-f", "-p", "8080"]
        docker("run", "-d", "--init=false", "--name", name, "--network", name, "-p", "8080", python_image, *command)
        yield Container(name, name, int(docker("port", name, "8080/tcp").splitlines()[0].rpartition(":")[2]))
    finally:
        subprocess.run(["docker", "rm", "-f", name], check=False, capture_output=True)
        subprocess.run(["docker", "network", "rm", name], check=False, capture_output=True)


async def captured(told: Told, container: Container) -> Workload:
    workload = container.workload
    told.discovered.publish(Discovered((workload,)))
    await told.until(lambda: list(told.capture.captures.value.captured) == [workload.life])
    return workload


async def test_a_restarted_container_is_captured_anew(container: Container, mesh: Mesh) -> None:
    told = await mesh()
    before = container.rules()
    first = await captured(told, container)
    assert any("DOCKER_OUTPUT" in rule for rule in container.rules())
    docker("restart", "-t", "0", container.name)
    second = await captured(told, container)
    assert second.life != first.life
    assert sum(" -j COMPOSEMESH_" in rule for rule in container.rules()) == 5
    assert told.capture.captures.value.captured[second.life].listening() in ({8080}, frozenset())
    await told.capture.release()
    assert [rule.split("127.0.0.11:")[0] for rule in container.rules() if "sport" not in rule] == [
        rule.split("127.0.0.11:")[0] for rule in before if "sport" not in rule
    ]


async def test_published_ports_and_neighbours_come_in_by_the_inbound_listener(
    container: Container, mesh: Mesh
) -> None:
    told = await mesh()
    workload = await captured(told, container)
    sidecar = told.capture.captures.value.captured[workload.life]
    for address in ((container.address, 8080), ("127.0.0.1", container.port)):
        with keep(socket.create_connection(address, timeout=5)):
            taken = await accepted(sidecar.inbound, socket.AF_INET)
            assert destination(sidecar, taken) == (container.address, 8080)


async def test_a_network_joined_later_is_captured_too(container: Container, mesh: Mesh) -> None:
    told = await mesh()
    workload = await captured(told, container)
    sidecar = told.capture.captures.value.captured[workload.life]
    later = f"{container.name}-later"
    docker("network", "create", later)
    try:
        docker("network", "connect", later, container.name)
        assert sum(" -j COMPOSEMESH_" in rule for rule in container.rules()) == 5
        there = (Container(container.name, later).address, 9000)
        with keep(socket.create_connection(there, timeout=5)):
            assert destination(sidecar, await accepted(sidecar.inbound, socket.AF_INET)) == there
    finally:
        docker("network", "disconnect", "-f", later, container.name)
        docker("network", "rm", later)


async def test_a_pid_in_another_container_is_not_entered(container: Container) -> None:
    real = container.workload
    NetworkNamespace.of(real).close()
    with pytest.raises(Refused, match="ended"):
        NetworkNamespace.of(Workload("f" * 64, "other", "other", real.started, real.pid))
