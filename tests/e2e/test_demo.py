"""`composemesh demo --docker`: Bookinfo's containers come, answer through the mesh, and go."""

from __future__ import annotations

import sys

import pytest
import trio

from environment.project import Project

pytestmark = [pytest.mark.docker, pytest.mark.root]

FREE_PORT = "19480"
"""One that nothing else in these tests publishes."""


async def test_the_containers_come_and_go(compose_project: Project) -> None:
    compose_project.environment |= {"BOOKINFO_IMAGE": compose_project.image, "BOOKINFO_PORT": FREE_PORT}
    command = [sys.executable, "-m", "composemesh", "demo", "--docker", "--requests", "30"]
    done = await trio.run_process(
        command,
        cwd=compose_project.folder,
        env=compose_project.environment,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    said = done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode()
    assert f"Open http://127.0.0.1:{FREE_PORT}/productpage" in said
    assert said.splitlines()[-1] == "Every service answered through the mesh; 30 of 30 pages were good."
    left = await compose_project.compose("--project-name", "demo-docker", "ps", "--all", "--quiet")
    assert left == ""
