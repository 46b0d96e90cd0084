"""Everything that Compose makes of its files is what the mesh understands: one project that uses it all."""

from __future__ import annotations

import pytest

from e2e.meshed import COMMON, ask, counted, listening, until, workloads
from e2e.stacks import status
from environment.project import CommandFailed, Project

pytestmark = [pytest.mark.docker, pytest.mark.root]

MAIN = """
include: [parts/ratings.yaml]
services:
  caller: *idle
  reviews-v1:
    extends: {file: parts/base.yaml, service: reviews}
    x-mesh: {version: "${FIRST}"}
  second:
    <<: *server
    labels: {x-mesh.service: reviews, x-mesh.version: v2}
  third:
    <<: *server
    labels: [x-mesh.service=reviews, x-mesh.version=to-be-replaced]
  probe:
    <<: *server
    profiles: [debug]
    x-mesh: {version: probing}
  asleep:
    <<: *server
    profiles: [other]
"""
BASE = """
services:
  reviews:
    <<: *server
    x-mesh: {service: reviews}
"""
RATINGS = """
services:
  ratings: {<<: *server, x-mesh: {version: "${SECOND}"}}
"""
SECOND_FILE = """
services:
  third:
    labels: [x-mesh.version=v3]
"""
OPTIONS = ("-f", "compose.yaml", "-f", "second.yaml", "--profile", "debug")


@pytest.fixture
def wordy(compose_project: Project) -> Project:
    compose_project.write(COMMON + MAIN)
    compose_project.write(COMMON + BASE, "parts/base.yaml")
    compose_project.write(COMMON + RATINGS, "parts/ratings.yaml")
    compose_project.write(SECOND_FILE, "second.yaml")
    compose_project.write("FIRST=v1\nSECOND=2024-06\n", ".env")
    compose_project.write("SECOND=2024-06\n", "parts/.env")
    return compose_project


async def versions(project: Project) -> dict[str, list[str]]:
    return {service["name"]: service["versions"] for service in (await status(project))["services"]}


async def test_up_with_all_that_compose_knows(wordy: Project) -> None:
    await wordy.mesh(*OPTIONS, "up", "-d", "--scale", "ratings=2")
    assert await versions(wordy) == {
        "caller": ["latest"],
        "probe": ["probing"],
        "ratings": ["2024-06"],
        "reviews": ["v1", "v2", "v3"],
    }
    running = await workloads(wordy)
    assert running.keys() == {"caller", "probe", "ratings", "ratings-2", "reviews-v1", "second", "third"}
    assert all(each["captured"] for each in running.values())

    # `reviews` is the name of no Compose service: they share it, each in its own way of saying so.
    await listening(wordy, "caller", "http://reviews:8080/")
    members = {(await wordy.container(name))["Id"][:12] for name in ("reviews-v1", "second", "third")}
    met: set[str] = set()

    async def met_all() -> bool:
        met.add((await ask(wordy, "caller", "get", "http://reviews:8080/"))["body"].split()[1])
        return met == members

    await until(met_all)
    async with counted(wordy) as counts:
        for host in ("reviews", "second", "ratings"):
            assert (await ask(wordy, "caller", "get", f"http://{host}:8080/"))["status"] == 200
    assert counts == {("caller", "reviews"): 2, ("caller", "ratings"): 1}

    wordy.write("FIRST=v1.1\nSECOND=2024-06\n", ".env")  # the mesh follows it, as it follows the files

    async def followed() -> bool:
        return "v1.1" in (await versions(wordy))["reviews"]

    await until(followed)
    await wordy.mesh(*OPTIONS, "down")
    assert await wordy.run("docker", "ps", "--all", "--quiet", "--filter", f"name={wordy.name}") == ""


async def test_attach_finds_the_same_in_a_stack_that_compose_started(wordy: Project) -> None:
    """Labels in mapping form reach a container mangled: they count all the same, because the files are read."""
    await wordy.compose(*OPTIONS, "up", "--detach")
    mangled = (await wordy.container("second"))["Config"]["Labels"]
    assert "x-mesh.version" not in mangled
    await wordy.mesh("-p", wordy.name, "attach", "-d")
    said = await versions(wordy)
    assert said["reviews"] == ["v1", "v2", "v3"]
    assert said["probe"] == ["probing"]


async def test_up_with_other_files_says_that_the_mesh_would_not_read_them(wordy: Project) -> None:
    await wordy.mesh("up", "-d")
    before = await wordy.compose("ps", "--quiet")
    assert (await versions(wordy))["reviews"] == ["to-be-replaced", "v1", "v2"]
    with pytest.raises(CommandFailed, match="was started with other Compose files") as caught:
        await wordy.mesh(*OPTIONS, "up", "-d")
    assert (caught.value.code, caught.value.err.count("\n")) == (1, 1)
    assert await wordy.compose("ps", "--quiet") == before
    await wordy.mesh("down", "--keep-stack")
    await wordy.mesh(*OPTIONS, "up", "-d")
    assert (await versions(wordy))["reviews"] == ["v1", "v2", "v3"]
