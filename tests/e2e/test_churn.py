"""Restarts and scaling under traffic: what a retry on connect can save is saved, and nothing is answered twice."""

from __future__ import annotations

import json

import pytest
import trio

from e2e.stacks import CALLER_AND_APP, load, rules, status
from environment.project import Project

pytestmark = [pytest.mark.docker, pytest.mark.root]


async def test_restarts_and_scaling_lose_nothing_that_could_be_saved(compose_project: Project) -> None:
    """Fifty requests a second while the one replica is restarted three times and scaled to three and back."""
    compose_project.write(CALLER_AND_APP)
    await compose_project.mesh("up", "-d")
    async with load(compose_project, "http://app:8080/", rate=50) as answers:
        for _ in range(3):
            await compose_project.run("docker", "restart", (await compose_project.container("app"))["Id"])
        await compose_project.compose("up", "--detach", "--no-recreate", "--scale", "app=3")
        await trio.sleep(2)
        await compose_project.compose("up", "--detach", "--no-recreate", "--scale", "app=1")
    # While the only replica is down there is nobody to retry on, and that is said in so many letters. What no
    # request may meet is a connection that stood and broke (UC), or an error of its own (status 0).
    assert {each["status"] for each in answers.failures} <= {503}, answers.failures[:3]
    assert {each["flag"] for each in answers.failures} <= {"UH", "UF"}, answers.failures[:3]
    assert max((each["ms"] for each in answers.failures), default=0) < 900, "a second is what a lost SYN takes"
    scaled = [each for each in answers.all if each["status"] == 200]
    assert len({each["body"].split()[1] for each in scaled}) == 3
    edges = json.loads(await compose_project.mesh("graph", "--window", "all", "--format", "json"))["edges"]
    assert sum(edge["requests"] for edge in edges) == len(answers.all), edges


async def test_scaling_down_loses_nothing_at_all(compose_project: Project) -> None:
    compose_project.write(CALLER_AND_APP)
    await compose_project.mesh("up", "-d", "--scale", "app=3")
    async with load(compose_project, "http://app:8080/", rate=100, seconds=6) as answers:
        await trio.sleep(1)
        await compose_project.compose("up", "--detach", "--no-recreate", "--scale", "app=1")
    assert len(answers.all) == 600
    assert answers.failures == []


async def test_a_restarted_container_is_captured_anew_and_within_50_ms(compose_project: Project) -> None:
    compose_project.write(CALLER_AND_APP)
    await compose_project.mesh("up", "-d")
    for _ in range(3):
        await compose_project.run("docker", "restart", (await compose_project.container("app"))["Id"])
        with trio.fail_after(0.5):
            while "COMPOSEMESH_OUT" not in await rules(compose_project, "app"):  # noqa: ASYNC110 - nobody tells
                await trio.sleep(0.01)
    (app,) = [service for service in (await status(compose_project))["services"] if service["name"] == "app"]
    assert [workload["captured"] for workload in app["workloads"]] == [True]


async def test_a_paused_replica_is_passed_over(compose_project: Project) -> None:
    compose_project.write(CALLER_AND_APP)
    await compose_project.mesh("up", "-d", "--scale", "app=2")
    async with load(compose_project, "http://app:8080/", rate=50, seconds=4) as answers:
        await trio.sleep(1)
        paused = (await compose_project.container("app", 1))["Id"]
        await compose_project.run("docker", "pause", paused)
        await trio.sleep(1.5)
        await compose_project.run("docker", "unpause", paused)
    assert answers.failures == []
    late = [each for each in answers.all if each["ms"] > 200]
    assert len(late) <= 8, "only what was in flight at that very moment may have waited"
