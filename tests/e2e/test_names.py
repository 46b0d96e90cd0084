"""Names that exist only in the mesh, and those that do not, as applications in containers resolve and call them."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from os import kill
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import trio

from composemesh.routing.names import VIRTUAL
from e2e.meshed import ask, edges, inside, listening, mesh_pid, meshed, more, until, workloads
from e2e.stacks import APPS, rules, status
from environment.project import CommandFailed, Project, project

pytestmark = [pytest.mark.docker, pytest.mark.root]

STACK = """
services:
  caller: *idle
  details: *server
  ratings: *server
  stopped: *server
  strict: *idle
  never: {<<: *server, deploy: {replicas: 0}}
  bridged: {<<: *idle, network_mode: bridge}
  closed: {<<: *idle, networks: [inner]}
  inner: {<<: *server, networks: [inner]}
networks:
  inner: {internal: true}
"""

ALONE = """
services:
  caller:
    image: ${PYTHON_IMAGE}
    command: [sleep, infinity]
    init: true
    stop_grace_period: 0s
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


async def test_a_container_without_dockers_resolver_asks_whom_it_asked(names: Project) -> None:
    assert "127.0.0.11" not in await inside(names, "bridged", "cat", "/etc/resolv.conf")
    found = await resolved(names, "bridged", "details.default.svc.cluster.local")
    assert isinstance(found, int) or not any(map(is_virtual, found))
    assert (await workloads(names))["bridged"]["captured"]


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
    assert said["seconds"] < 5  # of 10 or more that resolvers take to give up
    assert "stopped has no running endpoint" in said["body"]
    await names.compose("start", "stopped")

    async def is_back() -> bool:
        return bool((await ask(names, "caller", "get", "http://stopped:8080/"))["status"] == 200)

    await until(is_back)
    assert await resolved(names, "caller", "stopped") == [await names.address("stopped")]


async def test_a_service_that_never_had_a_container(names: Project) -> None:
    said = await ask(names, "caller", "get", "http://never:8080/")
    assert (said["status"], said["headers"]["x-composemesh-flag"]) == (503, "UH")
    assert "never has no running endpoint" in said["body"]


async def test_an_internal_network_where_dockers_resolver_is_silent(names: Project) -> None:
    await listening(names, "closed", "http://inner:8080/")
    assert (await ask(names, "closed", "get", "http://inner.default.svc.cluster.local:8080/"))["status"] == 200
    await names.compose("stop", "inner")
    said = await ask(names, "closed", "get", "http://inner:8080/")
    assert (said["status"], said["headers"]["x-composemesh-flag"]) == (503, "UH")
    await names.compose("start", "inner")


ENTRIES = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: partner}
spec:
  hosts: [api.partner.example, "*.wild.partner.example"]
  location: MESH_EXTERNAL
  ports: [{number: 80, name: web, protocol: HTTP, targetPort: 8080}]
  resolution: STATIC
  endpoints: [{address: "ADDRESS"}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: resolved}
spec:
  hosts: [byname.partner.example]
  location: MESH_EXTERNAL
  ports: [{number: 80, name: web, protocol: HTTP, targetPort: 8080}]
  resolution: DNS
  endpoints: [{address: OUTSIDER}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: open}
spec:
  hosts: [OUTSIDER]
  location: MESH_EXTERNAL
  ports: [{number: 8080, name: web, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: strict}
spec:
  workloadSelector: {labels: {app: strict}}
  egress: [{hosts: ["*/*"]}]
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
"""


@pytest.fixture(scope="module")
def outsider(names: Project) -> Iterator[str]:
    """A server on the project's network that no Compose project has, by its name."""
    name = f"mesh-test-outside-{uuid4().hex[:8]}"
    options = ("--detach", "--init", "--name", name, f"--volume={APPS}:/apps:ro", f"--network={names.name}_default")
    subprocess.run(["docker", "run", *options, names.image, "python3", "/apps/server.py"], check=True)
    yield name
    subprocess.run(["docker", "rm", "--force", name], check=True)


@pytest.fixture(scope="module")
def entries(names: Project, outsider: str) -> str:
    """The documents are in force, and the outsider answers."""
    text = ENTRIES.replace("OUTSIDER", outsider).replace("ADDRESS", trio.run(names.address, "details"))
    names.write(text, "entries.yaml")
    trio.run(names.mesh, "apply", "-f", "entries.yaml")
    trio.run(listening, names, "caller", f"http://{outsider}:8080/", "http://details:8080/")
    return outsider


async def called(project: Project, service: str, url: str) -> tuple[dict[str, Any], str]:
    """The answer, and what the graph calls the one that gave it."""
    before = await edges(project)
    said = await ask(project, service, "get", url)
    ((_, callee),) = more(await edges(project), before)
    return said, callee


@pytest.mark.parametrize("host", ["api.partner.example", "byname.partner.example", "any.wild.partner.example"])
async def test_a_host_of_an_entry_is_resolved_and_called(names: Project, entries: str, host: str) -> None:
    found = await resolved(names, "caller", host)
    assert isinstance(found, list)
    assert all(map(is_virtual, found))
    said, callee = await called(names, "caller", f"http://{host}/")
    assert (said["status"], said["body"].split()[0]) == (200, "app")
    assert callee == "external:" + host.replace("any.", "*.")


async def test_what_is_not_declared_is_refused_by_name(names: Project, entries: str) -> None:
    """The network's gateway is the host: to a strict caller as foreign as the rest, as in Istio."""
    foreign = (await names.address("details")).rpartition(".")[0] + ".1"
    said, callee = await called(names, "strict", f"http://{foreign}:8080/")
    assert (said["status"], said["headers"]["x-composemesh-flag"]) == (502, "NR")
    assert f"strict calls {foreign}:8080, which nothing declares" in said["body"]
    assert callee == f"external:{foreign}"
    problems = [each for each in (await status(names))["problems"] if each["code"] == "egress-blocked"]
    (one,) = [each for each in problems if foreign in each["message"]]
    assert (one["severity"], one["resource"]) == ("warning", "service strict")
    assert "strict was refused" in one["message"]
    tcp = await ask(names, "strict", "tcp", foreign, "8080", "hello")
    assert "reset" in tcp["reason"].lower()


async def test_what_is_declared_may_be_called_by_the_strict_as_well(names: Project, entries: str) -> None:
    for url in (
        f"http://{entries}:8080/",
        "http://details:8080/",
        "http://details.default.svc.cluster.local:8080/",
        "http://api.partner.example/",
    ):
        assert (await ask(names, "strict", "get", url))["status"] == 200
    assert (await ask(names, "caller", "get", f"http://{entries}:8080/"))["status"] == 200


async def test_registry_only_for_everybody(names: Project, entries: str) -> None:
    compose = names.folder / "compose.yaml"
    before = compose.read_text()
    foreign = (await names.address("details")).rpartition(".")[0] + ".1"

    async def refused() -> bool:
        return bool((await ask(names, "caller", "try", f"http://{foreign}:1/"))["status"] == 502)

    assert not await refused()
    compose.write_text("x-mesh: {egress: registry_only}\n" + before)
    await until(refused)
    assert (await ask(names, "caller", "get", f"http://{entries}:8080/"))["status"] == 200
    compose.write_text(before)

    async def allowed() -> bool:
        return not await refused()

    await until(allowed)


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
