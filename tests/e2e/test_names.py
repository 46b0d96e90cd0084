"""Names that exist only in the mesh, and those that do not, as applications in containers resolve and call them."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from os import kill
from pathlib import Path

import pytest

from composemesh.routing.names import VIRTUAL
from e2e.meshed import ask, edges, inside, listening, mesh_pid, meshed, until
from e2e.stacks import rules
from environment.project import CommandFailed, Project, project

pytestmark = [pytest.mark.docker, pytest.mark.root]

STACK = """
services:
  caller: *idle
  details: *server
  ratings: *server
  stopped: *server
  closed: {<<: *idle, networks: [inner]}
  inner: {<<: *server, networks: [inner]}
networks:
  inner: {internal: true}
"""

RESOLVE = """
import json, socket, sys
try:
    print(json.dumps([found[4][0] for found in socket.getaddrinfo(sys.argv[1], 80, type=socket.SOCK_STREAM)]))
except socket.gaierror as problem:
    print(json.dumps(problem.errno))
"""


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory, python_image: str) -> Iterator[Project]:
    with meshed(tmp_path_factory.mktemp("names"), python_image, STACK) as made:
        yield made


async def resolved(project: Project, service: str, name: str) -> list[str] | int:
    """What the C library's resolver finds: addresses, or the number of its error."""
    found: list[str] | int = json.loads(await inside(project, service, "python3", "-c", RESOLVE, name))
    return found


def is_virtual(address: str) -> bool:
    return ip_address(address) in ip_network(VIRTUAL)


@pytest.mark.parametrize("suffix", [".default", ".default.svc", ".prod.svc", ".default.svc.cluster.local"])
async def test_a_service_answers_by_its_names_in_kubernetes(names: Project, suffix: str) -> None:
    found = await resolved(names, "caller", f"details{suffix}")
    assert isinstance(found, list)
    assert all(map(is_virtual, found))
    await listening(names, "caller", "http://details:8080/")
    before = await edges(names)
    said = await ask(names, "caller", "get", f"http://details{suffix}:8080/")
    assert (said["status"], said["body"].split()[0]) == (200, "app")
    after = await edges(names)
    assert after["caller", "details"] == before["caller", "details"] + 1


async def test_names_of_docker_are_resolved_as_ever(names: Project) -> None:
    assert await resolved(names, "caller", "details") == [await names.address("details")]
    assert isinstance(await resolved(names, "caller", "no-such-host.invalid"), int)
    assert isinstance(await resolved(names, "caller", "inner"), int)  # of a network that the caller is not on


async def test_a_resolver_of_another_make(names: Project) -> None:
    """Busybox speaks DNS by itself, A and AAAA at once, as musl does."""
    said = await inside(names, "caller", "busybox", "nslookup", "details.default.svc.cluster.local")
    assert "240.240." in said
    assert "can't" not in said
    assert await names.address("details") in await inside(names, "caller", "busybox", "nslookup", "details")


async def test_a_service_without_a_container_is_refused_by_the_mesh_and_not_by_the_resolver(names: Project) -> None:
    await listening(names, "caller", "http://stopped:8080/")
    await names.compose("stop", "stopped")
    said = await ask(names, "caller", "get", "http://stopped:8080/")
    assert (said["status"], said["headers"]["x-composemesh-flag"]) == (503, "UH")
    assert said["seconds"] < 2
    assert "stopped has no running endpoint" in said["body"]
    await names.compose("start", "stopped")

    async def is_back() -> bool:
        return (await ask(names, "caller", "get", "http://stopped:8080/"))["status"] == 200

    await until(is_back)
    assert await resolved(names, "caller", "stopped") == [await names.address("stopped")]


async def test_an_internal_network_where_dockers_resolver_is_silent(names: Project) -> None:
    await listening(names, "closed", "http://inner:8080/")
    assert (await ask(names, "closed", "get", "http://inner.default.svc.cluster.local:8080/"))["status"] == 200
    await names.compose("stop", "inner")
    said = await ask(names, "closed", "get", "http://inner:8080/")
    assert (said["status"], said["headers"]["x-composemesh-flag"]) == (503, "UH")
    await names.compose("start", "inner")


async def test_names_resolve_when_the_mesh_has_gone(tmp_path: Path, python_image: str) -> None:
    with project(tmp_path, python_image) as made:
        made.write(
            "services:\n  caller:\n    image: ${PYTHON_IMAGE}\n    command: [sleep, infinity]\n    init: true\n"
        )
        await made.mesh("up", "-d")
        virtual = await resolved(made, "caller", "caller.default.svc.cluster.local")
        assert isinstance(virtual, list)
        assert is_virtual(virtual[0])
        await made.mesh("down", "--keep-stack")
        assert "COMPOSEMESH" not in await rules(made, "caller")
        assert await routes(made) == ""
        assert await resolved(made, "caller", "caller") == [await made.address("caller")]
        assert isinstance(await resolved(made, "caller", "caller.default.svc.cluster.local"), int)

        await made.mesh("attach", "-d")
        assert await resolved(made, "caller", "caller.default.svc.cluster.local") == virtual  # as before
        kill(mesh_pid(made), signal.SIGKILL)
        with pytest.raises(CommandFailed):  # capture fails closed, names included
            await inside(made, "caller", "busybox", "nslookup", "caller")
        await made.mesh("attach", "-d")
        assert await resolved(made, "caller", "caller") == [await made.address("caller")]
        assert await resolved(made, "caller", "caller.default.svc.cluster.local") == virtual
        kill(mesh_pid(made), signal.SIGKILL)
        await made.mesh("down", "--keep-stack")
        assert "COMPOSEMESH" not in await rules(made, "caller")
        assert await routes(made) == ""
        assert await resolved(made, "caller", "caller") == [await made.address("caller")]


async def routes(project: Project) -> str:
    """The route for virtual addresses in the caller's container, if there is one."""
    pid = str((await project.container("caller"))["State"]["Pid"])
    return await project.run("nsenter", "--net", "--target", pid, "ip", "route", "show", VIRTUAL)
