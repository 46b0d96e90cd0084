"""Replicas die, all at once or one of them: what callers see of it."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
import trio

from e2e.stacks import CALLER_AND_APP, load
from environment.project import Project

pytestmark = [pytest.mark.docker, pytest.mark.root]


async def test_killing_one_of_two_replicas_loses_nothing(compose_project: Project) -> None:
    compose_project.write(CALLER_AND_APP)
    await compose_project.mesh("up", "-d", "--scale", "app=2")
    async with load(compose_project, "http://app:8080/", rate=150, seconds=8) as answers:
        await trio.sleep(3)
        second = await compose_project.container("app", 2)
        await compose_project.run("docker", "kill", "--signal=KILL", second["Id"])
    assert len(answers.all) == 1200
    assert answers.failures == []
    assert answers.slowest_ms < 500
    instances = {each["body"].split()[1] for each in answers.all}
    assert len(instances) == 2


async def test_all_replicas_gone_is_said_at_once_and_their_return_seen_at_once(compose_project: Project) -> None:
    compose_project.write(CALLER_AND_APP)
    await compose_project.mesh("up", "-d")
    app = (await compose_project.container("app"))["Id"]
    async with load(compose_project, "http://app:8080/", rate=150, seconds=8) as answers:
        await trio.sleep(2)
        await compose_project.run("docker", "kill", "--signal=KILL", app)
        await trio.sleep(2)
        await compose_project.run("docker", "start", app)
    assert {each["status"] for each in answers.all} == {200, 503}
    refused = answers.failures
    assert max(each["ms"] for each in refused) < 250
    assert {each["flag"] for each in refused} <= {"UH", "UF"}
    listening = await _started(compose_project, app)
    back = next(each for each in answers.all if each["status"] == 200 and each["start"] > refused[-1]["start"])
    assert back["start"] - listening < 1.0


async def _started(project: Project, container: str) -> float:
    """When the container's application was told to start, and, give or take the interpreter's own start, listened."""
    (inspected,) = json.loads(await project.run("docker", "inspect", container))
    return datetime.fromisoformat(inspected["State"]["StartedAt"]).timestamp()
