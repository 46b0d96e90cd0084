"""Mistakes and mishaps, at the start and under way: one clear line, the right exit code, and the mesh goes on."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.meshed import COMMON, ask, counted, listening, meshed, until, workloads
from e2e.stacks import status
from environment.project import CommandFailed, Project

pytestmark = [pytest.mark.docker, pytest.mark.root]

STACK = """
services:
  caller: *idle
  app: {<<: *server, x-mesh: {version: v1}}
"""


@pytest.fixture(scope="module")
def stack(python_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with meshed(tmp_path_factory.mktemp("stack"), python_image, STACK) as project:
        yield project


async def refused(project: Project, *arguments: str, code: int) -> str:
    """The one line that the command says for an answer."""
    with pytest.raises(CommandFailed) as caught:
        await project.mesh(*arguments)
    assert caught.value.code == code, caught.value.err
    assert caught.value.out == ""
    assert "Traceback" not in caught.value.err
    (line,) = caught.value.err.splitlines()
    assert line.startswith("composemesh: ")
    return line.removeprefix("composemesh: ")


async def containers_of(project: Project) -> str:
    return await project.run("docker", "ps", "--all", "--quiet", "--filter", f"name={project.name}")


@pytest.mark.parametrize("command", [["up", "-d"], ["up"], ["attach", "-d"]], ids=" ".join)
async def test_docker_is_not_there(compose_project: Project, command: list[str]) -> None:
    compose_project.write(COMMON + STACK)
    missing = compose_project.folder / "docker.sock"
    compose_project.environment["DOCKER_HOST"] = f"unix://{missing}"
    line = await refused(compose_project, *command, code=1)
    assert str(missing) in line
    assert "Docker" in line


async def without(project: Project, capabilities: str, *arguments: str) -> str:
    """The one line that the command says to somebody who lacks these capabilities."""
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    dropped = ",".join(f"-{capability}" for capability in capabilities.split())
    with pytest.raises(CommandFailed) as caught:
        await project.run("setpriv", f"--bounding-set={dropped}", sys.executable, "-m", "composemesh", *arguments)
    assert (caught.value.code, caught.value.out) == (1, "")
    (line,) = caught.value.err.splitlines()
    return line


async def test_the_engine_may_not_be_asked(compose_project: Project) -> None:
    """Its socket is somebody else's, and this root may not pass over that."""
    compose_project.write(COMMON + STACK)
    path = compose_project.folder / "engine.sock"
    compose_project.environment["DOCKER_HOST"] = f"unix://{path}"
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(path))
        engine.listen()
        path.chmod(0o600)
        os.chown(path, 65534, 65534)
        line = await without(compose_project, "dac_override", "up", "-d")
    assert f"No permission to use Docker's socket {path}" in line
    assert "group `docker`" in line


@pytest.mark.parametrize("command", ["up", "attach"])
async def test_namespaces_may_not_be_entered(compose_project: Project, command: str) -> None:
    compose_project.write(COMMON + STACK)
    if command == "attach":
        await compose_project.compose("up", "--detach")
    line = await without(compose_project, "sys_admin net_admin", command, "-d")
    assert "sudo" in line
    assert "CAP_NET_ADMIN and CAP_SYS_ADMIN" in line
    assert bool(await containers_of(compose_project)) is (command == "attach")


async def test_no_compose_file(compose_project: Project) -> None:
    line = await refused(compose_project, "up", "-d", code=2)
    assert "Compose file" in line


async def test_a_project_that_nobody_meshes(compose_project: Project) -> None:
    for command in (["status"], ["graph"]):
        line = await refused(compose_project, "-p", compose_project.name, *command, code=1)
        assert f"No mesh serves project {compose_project.name}" in line
        assert "composemesh up" in line or "-p picks another" in line


async def test_yaml_that_is_none(compose_project: Project) -> None:
    compose_project.write("services:\n  app:\n    image: x\n   ports: [1\n")
    line = await refused(compose_project, "up", "-d", code=1)
    assert "compose.yaml:4" in line
    assert not await containers_of(compose_project)


@pytest.mark.parametrize(
    ("wrong", "place", "words"),
    [
        ("x-mesh: {verison: v2}", 4, ("verison", "`version`")),
        ("x-mesh: {exclude: {ports: [http]}}", 4, ("exclude.ports", "port")),
        ("x-mesh: [v2]", 4, ("x-mesh", "mapping")),
        ("labels: ['x-mesh.verison=v2']", 4, ("verison", "`version`")),
    ],
)
async def test_a_wrong_word_starts_nothing(
    compose_project: Project, wrong: str, place: int, words: tuple[str, ...]
) -> None:
    compose_project.write(f"services:\n  app:\n    image: ${{PYTHON_IMAGE}}\n    {wrong}\n")
    line = await refused(compose_project, "up", "-d", code=1)
    assert f"compose.yaml:{place}: " in line
    for word in words:
        assert word in line
    assert not await containers_of(compose_project)


@pytest.mark.parametrize(
    ("edit", "code", "said"),
    [
        ("x-mesh: {verison: v2}", "unknown-key", "version"),
        ("x-mesh: {version: [v2]}", "wrong-type", "version"),
        ("x-mesh: {version: v2}}", "", ""),
        ("imagine: this", "", "imagine"),
    ],
    ids=["unknown key", "wrong type", "no YAML", "not for Compose"],
)
async def test_a_bad_edit_leaves_the_last_good_one_in_force(stack: Project, edit: str, code: str, said: str) -> None:
    await listening(stack, "caller", "http://app:8080/")
    good = (stack.folder / "compose.yaml").read_text()
    bad = good.replace("app: {<<: *server, x-mesh: {version: v1}}", f"app: {{<<: *server, {edit}}}")
    assert bad != good
    (line,) = [number for number, text in enumerate(bad.splitlines(), 1) if edit in text]

    async def problems() -> list[dict[str, Any]]:
        return [each for each in (await status(stack))["problems"] if each["severity"] == "error"]

    async def none() -> bool:
        return not await problems()

    stack.write(bad)
    await until(problems)
    (problem,) = await problems()
    assert (problem["file"], problem["line"]) == (str(stack.folder / "compose.yaml"), line), problem
    assert problem["code"] == code or not code
    assert said in problem["message"] + problem["hint"]
    assert "\n" not in problem["message"]
    now = await status(stack)
    assert now["state"] == "degraded"
    assert next(service["versions"] for service in now["services"] if service["name"] == "app") == ["v1"]
    async with counted(stack) as counts:
        assert (await ask(stack, "caller", "get", "http://app:8080/"))["status"] == 200
    assert counts == {("caller", "app"): 1}
    stack.write(good)
    await until(none)
    assert (await status(stack))["state"] == "serving"


async def test_a_taken_admin_port_is_passed_over_and_the_line_says_where_it_serves(compose_project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = holder.getsockname()[1]
        compose_project.write(f"x-mesh: {{admin: 127.0.0.1:{taken}}}\n" + COMMON + STACK)
        said = await compose_project.mesh("up", "-d")
    url = (await status(compose_project))["admin_url"]
    assert url in said
    assert taken < int(url.rpartition(":")[2]) <= taken + 100


async def test_an_admin_address_that_strangers_reach_is_refused(compose_project: Project) -> None:
    compose_project.write("x-mesh: {admin: '0.0.0.0:15000'}\n" + COMMON + STACK)
    line = await refused(compose_project, "up", "-d", code=1)
    assert "compose.yaml:1: " in line
    assert "not on loopback" in line
    assert not await containers_of(compose_project)


async def test_containers_that_die_while_they_are_captured(compose_project: Project) -> None:
    """They come and go faster than the mesh can follow; it stays well, and captures the next that lives."""
    compose_project.write(COMMON + STACK + "  flash: {<<: *app, command: ['true'], restart: always}\n")
    await compose_project.mesh("up", "-d")
    await listening(compose_project, "caller", "http://app:8080/")
    app = f"{compose_project.name}-app-1"
    for _ in range(6):
        await compose_project.run("docker", "restart", "--time", "0", app)
        await compose_project.run("docker", "kill", app)
        await compose_project.run("docker", "start", app)
    await listening(compose_project, "caller", "http://app:8080/")

    async def captured() -> bool:
        return bool((await workloads(compose_project))["app"]["captured"])

    await until(captured)
    log = (compose_project.state / compose_project.name / "mesh.log").read_text()
    assert "Traceback" not in log
    assert "level=error" not in log
    json.loads(await compose_project.mesh("status", "--format", "json"))
