"""The engine out of sight for a while: traffic flows, `status` says so, and what was missed is caught up."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.meshed import COMMON, ask, edges, listening, until, workloads
from e2e.relay import relay
from e2e.stacks import load, rules, status
from environment.project import Project

pytestmark = [pytest.mark.docker, pytest.mark.root]

STACK = """
services:
  caller: *idle
  app: *server
"""


async def attach(project: Project, socket: Path) -> None:
    """A mesh, and only the mesh, that knows the engine at this socket."""
    project.environment["DOCKER_HOST"] = f"unix://{socket}"
    await project.mesh("attach", "-d")
    del project.environment["DOCKER_HOST"]
    await listening(project, "caller", "http://app:8080/")


async def state(project: Project, wanted: str) -> bool:
    return bool((await status(project))["state"] == wanted)


async def test_the_engine_goes_away_and_comes_back(compose_project: Project) -> None:
    project = compose_project
    project.write(COMMON + STACK)
    await project.compose("up", "--detach")
    socket = project.folder / "engine.sock"
    async with relay(socket):
        await attach(project, socket)
        assert (await status(project))["state"] == "serving"
    async with load(project, "http://app:8080/", rate=50, seconds=6) as answers:
        await until(lambda: state(project, "degraded"))
        (problem,) = (await status(project))["problems"]
        assert problem["code"] == "source-unreachable"
        assert str(socket) in problem["message"]
        assert "caught up" in problem["hint"]
        known = await workloads(project)
        assert {name for name, each in known.items() if each["captured"]} == {"caller", "app"}

        await project.compose("up", "--detach", "--scale", "app=2", "--no-recreate")
        assert (await workloads(project)).keys() == known.keys()
        assert "COMPOSEMESH" not in await rules(project, "app", 2)
        async with relay(socket):
            await until(lambda: state(project, "serving"))

            async def appeared() -> bool:
                return bool((await workloads(project)).get("app-2", {}).get("captured"))

            await until(appeared)
            assert (await status(project))["problems"] == []
            assert (await rules(project, "app", 2)).count("-j COMPOSEMESH_OUT") == 1
            assert (await rules(project, "app", 1)).count("-j COMPOSEMESH_OUT") == 1
    assert len(answers.all) == 300
    assert answers.failures == []
    assert len({each["body"].split()[1] for each in answers.all}) == 2
    assert (await edges(project))[("caller", "app")] >= 300


async def test_what_ended_meanwhile_is_forgotten(compose_project: Project) -> None:
    project = compose_project
    project.write(COMMON + STACK)
    await project.compose("up", "--detach", "--scale", "app=2")
    socket = project.folder / "engine.sock"

    async with relay(socket):
        await attach(project, socket)
    await until(lambda: state(project, "degraded"))
    await project.run("docker", "kill", f"{project.name}-app-2")
    # It is still listed, but nobody answers there: the other replica does, at once.
    answers = [await ask(project, "caller", "get", "http://app:8080/") for _ in range(4)]
    assert {each["status"] for each in answers} == {200}
    assert max(each["seconds"] for each in answers) < 0.9
    assert "app-2" in await workloads(project)
    async with relay(socket):
        await until(lambda: state(project, "serving"))
        assert (await workloads(project)).keys() == {"caller", "app"}
