"""The commands on real Docker and Compose: what they start, what they leave alone, and what they leave behind."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from composemesh.stack.engine import look
from composemesh.stack.state import MeshEntry, StateFolder
from environment.project import CommandFailed, Project

pytestmark = [pytest.mark.docker, pytest.mark.root]

REVIEWS = """
services:
  reviews-v1: &reviews
    image: ${PYTHON_IMAGE}
    command: [python3, -m, http.server, "9080"]
    expose: ["9080"]
    stop_grace_period: 0s
    x-mesh: {service: reviews, version: v1}
  reviews-v2:
    <<: *reviews
    x-mesh: {service: reviews, version: v2}
  client:
    image: ${PYTHON_IMAGE}
    command: [sleep, infinity]
    stop_grace_period: 0s
"""
PROVIDED = """
services:
  mesh: {provider: {type: composemesh, options: {capture: netns}}}
  web:
    image: ${PYTHON_IMAGE}
    command: [python3, -m, http.server, "9080"]
    stop_grace_period: 0s
    depends_on: [mesh]
    x-mesh: {version: v7}
"""
SHORT = 30.0


async def started(project: Project) -> dict[str, str]:
    """When each container of the project began its life."""
    ids = (await project.compose("ps", "--quiet")).split()
    inspected = json.loads(await project.run("docker", "inspect", *ids)) if ids else []
    return {each["Id"]: each["State"]["StartedAt"] for each in inspected}


async def rules(project: Project) -> int:
    """How many lines of the mesh's stand in the containers' tables."""
    ids = (await project.compose("ps", "--quiet")).split()
    count = 0
    for each in json.loads(await project.run("docker", "inspect", *ids)):
        saved = await project.run("nsenter", "-t", str(each["State"]["Pid"]), "-n", "iptables-save", "-t", "nat")
        count += saved.lower().count("composemesh")
    return count


def entry(project: Project) -> MeshEntry | None:
    return StateFolder(project.state, project.name).entry()


async def instances(project: Project) -> dict[str, dict[str, Any]]:
    said = json.loads(await project.mesh("status", "--format", "json"))
    return {each["name"]: each for service in said["services"] for each in service["workloads"]}


async def test_up_in_the_background_and_down(compose_project: Project) -> None:
    compose_project.write(REVIEWS)
    said = await compose_project.mesh("up", "-d")
    mesh = entry(compose_project)
    assert mesh is not None
    where, how = said.splitlines()
    assert where == f"The mesh of project {compose_project.name} serves: {mesh.admin_url}"
    assert f"`composemesh -p {compose_project.name} status`" in how
    assert "`down --keep-stack`" in how
    assert all(each["captured"] for each in (await instances(compose_project)).values())
    assert len(await instances(compose_project)) == 3

    before = await started(compose_project)
    assert await compose_project.mesh("up", "-d") == said
    assert (entry(compose_project), await started(compose_project)) == (mesh, before)

    async with trio.open_nursery() as nursery:  # `reviews` is nobody's own name: it works by the alias alone
        for _ in range(2):
            nursery.start_soon(
                compose_project.compose, "exec", "client", "wget", "-qO-", "http://reviews:9080/etc/passwd"
            )
    graph = json.loads(await compose_project.mesh("graph", "--format", "json"))
    assert {edge["source"] for edge in graph["edges"]} == {"client/latest"}
    assert sum(edge["requests"] for edge in graph["edges"]) == 2

    await compose_project.mesh("down")
    assert not mesh.alive
    assert entry(compose_project) is None
    assert await started(compose_project) == {}


async def test_an_edit_that_takes_a_restart_says_so_until_it_is_taken_back(compose_project: Project) -> None:
    compose_project.write(REVIEWS)
    await compose_project.mesh("up", "-d")

    async def problems_become(*codes: str) -> list[dict[str, Any]]:
        with trio.fail_after(SHORT):
            while True:
                said = json.loads(await compose_project.mesh("status", "--format", "json"))
                if [each["code"] for each in said["problems"]] == list(codes):
                    assert said["state"] == "serving"
                    return list(said["problems"])

    await problems_become()
    compose_project.write("x-mesh: {capture: none}\n" + REVIEWS)
    (problem,) = await problems_become("next-start")
    assert (problem["severity"], problem["line"]) == ("warning", 1)
    compose_project.write(REVIEWS)
    await problems_become()
    assert StateFolder(compose_project.state, compose_project.name).log.read_text().count("next-start") == 1


async def test_attach_and_detach_restart_nothing(compose_project: Project) -> None:
    compose_project.write(REVIEWS)
    await compose_project.compose("up", "--detach")
    before = await started(compose_project)
    await compose_project.mesh("attach", "-d")
    assert await rules(compose_project) > 0
    assert all(each["captured"] for each in (await instances(compose_project)).values())
    await compose_project.mesh("down", "--keep-stack")
    assert await rules(compose_project) == 0
    assert await started(compose_project) == before


async def test_two_starts_at_once_are_one_mesh(compose_project: Project) -> None:
    compose_project.write(REVIEWS)
    await compose_project.compose("up", "--detach")
    said: list[str] = []

    async def attach() -> None:
        said.append(await compose_project.mesh("attach", "-d"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(attach)
        nursery.start_soon(attach)
    assert said[0] == said[1]


async def test_attach_by_name_finds_the_files(compose_project: Project) -> None:
    """From another folder, whose Compose file is another project's."""
    compose_project.write(REVIEWS)
    compose_project.write("services: {other: {image: x}}\n", "elsewhere/compose.yaml")
    await compose_project.compose("up", "--detach")
    elsewhere = Project(compose_project.folder / "elsewhere", compose_project.name, compose_project.image)
    elsewhere.environment = compose_project.environment
    await elsewhere.mesh("-p", compose_project.name, "attach", "-d")
    mesh = entry(compose_project)
    assert mesh is not None
    assert mesh.compose["files"] == [str(compose_project.folder / "compose.yaml")]
    assert {each["version"] for each in (await instances(compose_project)).values()} == {"v1", "v2", "latest"}


async def test_docker_compose_alone_starts_and_stops_the_mesh(compose_project: Project) -> None:
    command = compose_project.write(f'#!/bin/sh\nexec {sys.executable} -m composemesh "$@"\n', "bin/composemesh")
    command.chmod(0o755)
    environment = compose_project.environment
    environment["PATH"] = f"{command.parent}:{environment['PATH']}"
    compose_project.write(PROVIDED)
    await compose_project.compose("up", "--detach")
    mesh = entry(compose_project)
    assert mesh is not None
    url = await compose_project.compose("exec", "web", "sh", "-c", "echo $MESH_URL")
    assert url == f"{mesh.admin_url}\n"
    with trio.fail_after(SHORT):  # the files are read once the containers tell of them
        versions = {"latest"}
        while versions == {"latest"}:
            versions = {each["version"] for each in (await instances(compose_project)).values()}
    assert versions == {"v7"}

    await compose_project.compose("up", "--detach")
    again = entry(compose_project)
    assert again is not None
    assert again.pid == mesh.pid

    await compose_project.compose("down")
    assert entry(compose_project) is None
    assert not mesh.alive


async def test_docker_compose_shows_why_the_mesh_does_not_start(compose_project: Project) -> None:
    command = compose_project.write(f'#!/bin/sh\nexec {sys.executable} -m composemesh "$@"\n', "bin/composemesh")
    command.chmod(0o755)
    environment = compose_project.environment
    environment["PATH"] = f"{command.parent}:{environment['PATH']}"
    compose_project.write(PROVIDED.replace("capture: netns", "capture: netnss"))
    with pytest.raises(CommandFailed) as caught:
        await compose_project.compose("up", "--detach")
    assert "'netnss' is not one of 'auto', 'netns', 'none'" in caught.value.err
    assert await started(compose_project) == {}


async def test_a_wrong_key_starts_nothing(compose_project: Project) -> None:
    compose_project.write(REVIEWS.replace("version: v2", "versoin: v2"))
    with pytest.raises(CommandFailed) as caught:
        await compose_project.mesh("up", "-d")
    assert caught.value.code == 1
    assert caught.value.err.count("\n") == 1
    assert "compose.yaml:11" in caught.value.err
    assert "version" in caught.value.err
    assert await started(compose_project) == {}


async def test_a_project_that_nobody_knows(compose_project: Project) -> None:
    with pytest.raises(CommandFailed) as caught:
        await compose_project.mesh("attach")
    assert (caught.value.code, caught.value.err.count("\n")) == (2, 1)
    with pytest.raises(CommandFailed) as caught:
        await compose_project.mesh("-p", compose_project.name, "attach")
    assert caught.value.code == 1
    assert f"Nothing runs in project {compose_project.name}" in caught.value.err


async def test_an_engine_that_is_not_there_is_one_line(compose_project: Project) -> None:
    compose_project.write(REVIEWS)
    compose_project.environment["DOCKER_HOST"] = "tcp://composemesh.invalid"
    try:
        for command in (["up", "-d"], ["attach"], ["down"]):
            with pytest.raises(CommandFailed) as caught:
                await compose_project.mesh(*command)
            assert caught.value.code == 1
            assert caught.value.err.startswith("composemesh: Nothing answers at tcp://composemesh.invalid (")
            assert caught.value.err.count("\n") == 1
    finally:
        del compose_project.environment["DOCKER_HOST"]


async def test_what_a_killed_mesh_left_is_cleaned(compose_project: Project) -> None:
    compose_project.write(REVIEWS)
    await compose_project.mesh("up", "-d")
    mesh = entry(compose_project)
    assert mesh is not None
    os.kill(mesh.pid, signal.SIGKILL)
    assert await rules(compose_project) > 0
    with pytest.raises(CommandFailed, match="was killed"):
        await compose_project.mesh("status")
    said = await compose_project.mesh("down", "--keep-stack")
    assert "cleaned up in 3 containers" in said
    assert await rules(compose_project) == 0
    assert entry(compose_project) is None


@asynccontextmanager
async def foreground(project: Project, *arguments: str) -> AsyncIterator[tuple[trio.Process, int]]:
    """composemesh in a terminal of its own, and the other end of that terminal."""
    mine, its = pty.openpty()
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "composemesh", *arguments],
        cwd=project.folder,
        env=project.environment | {"TERM": "xterm", "COLUMNS": "100"},
        stdin=its,
        stdout=its,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    os.close(its)
    try:
        yield process, mine
    finally:
        process.kill()
        await process.wait()
        os.close(mine)


async def read_until(terminal: int, words: str) -> str:
    """What the terminal shows until these words, which must come."""
    seen = b""
    with trio.fail_after(SHORT):
        while words.encode() not in seen:
            await trio.lowlevel.wait_readable(terminal)
            seen += os.read(terminal, 65536)
    return seen.decode(errors="replace")


async def read_to_the_end(terminal: int) -> str:
    """What is still written there until nobody has the terminal open any more."""
    seen = b""
    with trio.fail_after(SHORT):
        while True:
            await trio.lowlevel.wait_readable(terminal)
            try:
                seen += os.read(terminal, 65536)
            except OSError:  # EIO
                return seen.decode(errors="replace")


async def end_of(process: trio.Process, terminal: int) -> int:
    """Its exit code, while somebody reads what it still prints."""

    async def read() -> None:
        while True:
            await trio.lowlevel.wait_readable(terminal)
            try:
                os.read(terminal, 65536)
            except OSError:  # EIO: nobody writes there any more
                await trio.sleep_forever()

    with trio.fail_after(SHORT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            code = await process.wait()
            nursery.cancel_scope.cancel()
    return code


async def test_up_in_a_terminal_shows_the_mesh_and_takes_both_down(compose_project: Project) -> None:
    compose_project.write(REVIEWS)
    async with foreground(compose_project, "up") as (process, terminal):
        await read_until(terminal, "No traffic yet.")
        mesh = entry(compose_project)
        assert mesh is not None
        assert mesh.pid == process.pid
        os.killpg(process.pid, signal.SIGINT)  # as the terminal's Ctrl-C
        assert await end_of(process, terminal) == 0
    assert entry(compose_project) is None
    assert (await look("unix:///var/run/docker.sock", compose_project.name)).workloads == ()
    assert len((await compose_project.compose("ps", "--all", "--quiet")).split()) == 3


async def test_attach_in_a_terminal_leaves_the_stack(compose_project: Project) -> None:
    compose_project.write(REVIEWS)
    await compose_project.compose("up", "--detach")
    before = await started(compose_project)
    async with foreground(compose_project, "attach") as (process, terminal):
        await read_until(terminal, "serving")
        assert await rules(compose_project) > 0
        process.send_signal(signal.SIGTERM)
        assert await end_of(process, terminal) == 0
    assert await rules(compose_project) == 0
    assert await started(compose_project) == before


async def test_down_keep_stack_leaves_the_stack_of_an_up_in_the_foreground(compose_project: Project) -> None:
    compose_project.write(REVIEWS)
    async with foreground(compose_project, "up") as (process, terminal):
        await read_until(terminal, "No traffic yet.")
        before = await started(compose_project)
        said = await compose_project.mesh("down", "--keep-stack")
        assert await end_of(process, terminal) == 0
    assert said == f"The mesh of project {compose_project.name} has ended.\n"
    assert entry(compose_project) is None
    assert len(before) == 3
    assert await started(compose_project) == before
    assert await rules(compose_project) == 0


async def test_up_over_a_mesh_that_serves_is_refused(compose_project: Project) -> None:
    compose_project.write(REVIEWS)
    await compose_project.mesh("up", "-d")
    with pytest.raises(CommandFailed, match="already meshes project") as caught:
        await compose_project.mesh("up")
    assert caught.value.code == 1
    assert caught.value.err.count("\n") == 1


async def test_ctrl_c_while_compose_starts_the_stack(compose_project: Project) -> None:
    compose_project.write(
        REVIEWS + "  slow:\n    image: ${PYTHON_IMAGE}\n    command: [sleep, infinity]\n    stop_grace_period: 0s\n"
        "    healthcheck: {test: ['CMD', 'false'], interval: 1s, retries: 1000}\n"
    )
    async with foreground(compose_project, "up", "--wait") as (process, terminal):
        await read_until(terminal, "slow")
        os.killpg(process.pid, signal.SIGINT)
        assert await end_of(process, terminal) == 0
    assert entry(compose_project) is None
    assert (await look("unix:///var/run/docker.sock", compose_project.name)).workloads == ()


STUBBORN = """
services:
  slow:
    image: ${PYTHON_IMAGE}
    command:
      - python3
      - -c
      - |
        import socket, time
        listener = socket.create_server(("", 9080))
        while True:
            conversation, _ = listener.accept()
            if conversation.recv(100):
                print("asked", flush=True)
                time.sleep(1000)
    expose: ["9080"]
    stop_grace_period: 0s
  client:
    image: ${PYTHON_IMAGE}
    command: [sleep, infinity]
    stop_grace_period: 0s
"""


async def test_a_second_ctrl_c_does_not_wait_and_leaves_nothing(compose_project: Project) -> None:
    compose_project.write(STUBBORN)
    await compose_project.compose("up", "--detach")
    async with foreground(compose_project, "attach") as (process, terminal):
        await read_until(terminal, "No traffic yet.")
        await compose_project.compose("exec", "--detach", "client", "wget", "-qO-", "http://slow:9080/")
        with trio.fail_after(SHORT):
            while "asked" not in await compose_project.compose("logs", "slow"):
                pass
        process.send_signal(signal.SIGINT)
        await read_until(terminal, "A second signal")
        process.send_signal(signal.SIGINT)
        assert await end_of(process, terminal) == 130
    with trio.fail_after(SHORT):
        while entry(compose_project) is not None:
            await trio.lowlevel.checkpoint()
    assert await rules(compose_project) == 0


async def test_a_second_ctrl_c_while_compose_stops_the_stack_silences_it(compose_project: Project) -> None:
    compose_project.write(
        "services:\n  deaf:\n    image: ${PYTHON_IMAGE}\n    command: [sleep, infinity]\n    stop_grace_period: 20s\n"
    )
    async with foreground(compose_project, "up") as (process, terminal):
        await read_until(terminal, "No traffic yet.")
        process.send_signal(signal.SIGINT)
        await read_until(terminal, "Stopping")
        process.send_signal(signal.SIGINT)
        said = await read_to_the_end(terminal)
        assert await process.wait() == 130
    assert "Stopped" not in said
    with trio.fail_after(SHORT):
        while (await look("unix:///var/run/docker.sock", compose_project.name)).workloads:
            await trio.lowlevel.checkpoint()
