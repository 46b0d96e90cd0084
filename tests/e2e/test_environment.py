"""The environment itself: what the other end-to-end tests stand on."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest
import trio

from environment.project import CommandFailed, Project, project

pytestmark = pytest.mark.docker

ANSWERING = """
services:
  web:
    image: ${PYTHON_IMAGE}
    command: [python3, -m, http.server, "8000", --directory, /etc]
    healthcheck: {test: [CMD, wget, -qO-, "http://localhost:8000/passwd"], interval: 0.2s, retries: 50}
"""


async def test_a_project_of_the_image_answers(compose_project: Project) -> None:
    compose_project.write(ANSWERING)
    await compose_project.compose("up", "--detach", "--wait")
    url = f"http://{await compose_project.address('web')}:8000/passwd"
    assert b"root:x:0:0" in await trio.to_thread.run_sync(lambda: urllib.request.urlopen(url, timeout=5).read())


async def test_a_project_leaves_nothing_behind(python_image: str, tmp_path: Path) -> None:
    with project(tmp_path, python_image) as gone:
        gone.write(ANSWERING)
        await gone.compose("up", "--detach")
        assert await gone.compose("ps", "--quiet")
        gone.write("no longer: [a Compose file")
    for listing in (["ps", "--all", "--quiet"], ["network", "ls", "--quiet"]):
        assert await gone.run("docker", *listing, "--filter", f"label=com.docker.compose.project={gone.name}") == ""


async def test_a_failing_command_says_what_it_said(compose_project: Project) -> None:
    compose_project.write("services: {web: {imagine: this}}")
    with pytest.raises(CommandFailed, match="imagine"):
        await compose_project.compose("config")


async def test_the_image_runs_tls_and_json(compose_project: Project) -> None:
    program = "import http.client, json, ssl, sys; print(json.dumps([sys.platform, ssl.HAS_TLSv1_3]))"
    answer = await compose_project.run("docker", "run", "--rm", compose_project.image, "python3", "-c", program)
    assert json.loads(answer) == ["linux", True]
