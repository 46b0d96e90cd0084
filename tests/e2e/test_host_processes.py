"""Services that have no container: processes of the host that joined, and what is found by mDNS."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio

from composemesh.discovery.mdns.zone import Announced, Heard, Zone
from composemesh.model.mdns import Publication
from composemesh.runtime.latest import Latest
from e2e.meshed import ask, counted, listening, meshed, until, workloads
from environment.project import CommandFailed, Project

pytestmark = [pytest.mark.docker, pytest.mark.root]

FOUND = f"found{os.getpid()}"
TYPE, PUBLISHED = f"_t{os.getpid()}._tcp", f"_p{os.getpid()}._tcp"
STACK = f"""
x-mesh: {{discovery: {{mdns: {{browse: [{TYPE}], interfaces: [127.0.0.1]}}}}}}
services:
  caller: *idle
  details:
    <<: *server
    x-mesh: {{ports: {{"8080": http}}, publish: {{by: mdns, type: {PUBLISHED}}}}}
  inner: {{<<: *server, networks: [inner]}}
networks:
  inner: {{internal: true}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, python_image: str) -> Iterator[Project]:
    with meshed(tmp_path_factory.mktemp("processes"), python_image, STACK) as made:
        yield made


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def running(project: Project, name: str, *command: str, port: int = 0) -> AsyncIterator[trio.Process]:
    """`composemesh run` of a command, until the block ends."""
    arguments = ["-m", "composemesh", "-p", project.name, "run", "--name", name, "--port", str(port or free_port())]
    process = await trio.lowlevel.open_process(
        [sys.executable, *arguments, "--", *command],
        cwd=project.folder,
        env=project.environment,
        stdin=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        with trio.CancelScope(shield=True), trio.fail_after(20):
            await process.wait()


def server(port: int) -> list[str]:
    return [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]


async def test_a_container_calls_a_host_process_by_its_name(project: Project) -> None:
    port = free_port()
    async with running(project, "report", *server(port), port=port) as process:
        await listening(project, "caller", f"http://report:{port}/", "http://report/")
        async with counted(project) as counts:
            said = await ask(project, "caller", "get", f"http://report:{port}/")
            assert said["status"] == 200
            assert "Directory listing" in said["body"]
        assert counts == {("caller", "report"): 1}
        assert (await workloads(project))["report"]["captured"]
        process.send_signal(signal.SIGKILL)

        async def gone() -> bool:
            return "report" not in await workloads(project)

        await until(gone)
        assert (await ask(project, "caller", "get", f"http://report:{port}/"))["status"] == 503


async def test_a_host_process_calls_containers_by_their_names_on_every_network(project: Project) -> None:
    script = "import urllib.request as u\nfor n in ('details', 'inner'): print(u.urlopen(f'http://{n}:8080/').status)"
    await listening(project, "caller", "http://details:8080/")
    async with counted(project) as counts:
        said = await project.mesh(
            *("run", "--name", "asker", "--port", str(free_port()), "--", sys.executable, "-c", script)
        )
        assert said == "200\n200\n"
    assert counts == {("asker", "details"): 1, ("asker", "inner"): 1}


async def test_a_name_of_a_container_is_taken(project: Project) -> None:
    with pytest.raises(CommandFailed, match="The name details is taken by container"):
        await project.mesh("run", "--name", "details", "--port", str(free_port()), "--", "true")


async def test_a_container_calls_what_was_found_on_the_hosts_network(project: Project) -> None:
    port = free_port()
    served = await trio.lowlevel.open_process(server(port), stderr=subprocess.DEVNULL)
    token = trio.lowlevel.current_trio_token()
    zone = await trio.to_thread.run_sync(Zone, ("127.0.0.1",), (), lambda _: None, token)
    try:
        announced = {Announced(Publication(FOUND, TYPE, port, ""), "v1")}
        await trio.to_thread.run_sync(zone.announce, announced, "test", "0" * 6)
        await listening(project, "caller", f"http://{FOUND}:{port}/", f"http://{FOUND}/")
        async with counted(project) as counts:
            assert (await ask(project, "caller", "get", f"http://{FOUND}/"))["status"] == 200
        assert counts == {("caller", FOUND): 1}
    finally:
        await trio.to_thread.run_sync(zone.close)
        served.kill()
        await served.wait()

    async def forgotten() -> bool:
        return not any(name.startswith(FOUND) for name in await workloads(project))

    with trio.fail_after(5):
        await until(forgotten)


async def test_a_published_service_is_found_and_called_by_others(project: Project) -> None:
    heard: Latest[Heard] = Latest(Heard())
    token = trio.lowlevel.current_trio_token()
    zone = await trio.to_thread.run_sync(lambda: Zone(("127.0.0.1",), (PUBLISHED,), heard.publish, token))
    try:
        with trio.fail_after(10):
            while not heard.value.announcements:
                await heard.after(heard.version)
    finally:
        await trio.to_thread.run_sync(zone.close)
    (announcement,) = heard.value.announcements
    assert (announcement.txt["service"], announcement.addresses) == ("details", ("127.0.0.1",))
    async with counted(project) as counts:
        status = await project.run(
            *("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{announcement.port}/")
        )
        assert status == "200"
    assert counts == {("gateway:mdns-details", "details"): 1}
