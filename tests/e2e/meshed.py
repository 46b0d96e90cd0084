"""A project that runs and is meshed for a whole module, and what its containers are asked to do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio

from e2e.stacks import APPS
from environment.project import Project, project

SOON = 10.0
"""Seconds for what follows an edit or an event; it is there in a fraction, but the machine may be busy."""

COMMON = f"""
x-app: &app
  image: ${{PYTHON_IMAGE}}
  volumes: ["{APPS}:/apps:ro"]
  init: true
  stop_grace_period: 0s
x-idle: &idle
  <<: *app
  command: [sleep, infinity]
x-server: &server
  <<: *app
  command: [python3, /apps/server.py]
"""
"""Anchors for Compose files: `*idle` only calls others, `*server` says who it is on port 8080."""


@contextmanager
def meshed(folder: Path, image: str, text: str, *arguments: str) -> Iterator[Project]:
    """This Compose file with `COMMON` before it, up and meshed; everything gone at the end."""
    with project(folder, image) as made:
        made.write(COMMON + text)
        trio.run(made.mesh, "up", "-d", *arguments)
        yield made


async def inside(project: Project, service: str, *command: str) -> str:
    """Run a command in the first container of a service."""
    return await project.run("docker", "exec", f"{project.name}-{service}-1", *command)


async def ask(project: Project, service: str, *words: str) -> dict[str, Any]:
    """Run apps/ask.py in a container of the service: what it was told."""
    said: dict[str, Any] = json.loads(await inside(project, service, "python3", "/apps/ask.py", *words))
    return said


async def listening(project: Project, service: str, *urls: str) -> None:
    """Wait until these answer a caller: Compose has started their containers, not yet what runs in them."""

    async def answers(url: str) -> bool:
        return bool((await ask(project, service, "get", url))["status"] == 200)

    for url in urls:
        await until(partial(answers, url))


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Wait for what follows soon and tells nobody. Raises trio.TooSlowError where it does not."""
    with trio.fail_after(SOON):
        while not await condition():  # noqa: ASYNC110
            await trio.sleep(0.05)


async def workloads(project: Project) -> dict[str, dict[str, Any]]:
    """What `status` says of each workload, by the Compose service or, where that is no part of it, its name."""
    said = json.loads(await project.mesh("status", "--format", "json"))
    prefix = f"{project.name}-"
    found = [each for service in said["services"] for each in service["workloads"]]
    return {each["name"].removeprefix(prefix).removesuffix("-1"): each for each in found}


async def edges(project: Project) -> dict[tuple[str, str], int]:
    """Requests, or connections, of all time by caller and called: services without their versions."""
    said = json.loads(await project.mesh("graph", "--window", "all", "--format", "json"))
    counts: dict[tuple[str, str], int] = {}
    for edge in said["edges"]:
        key = (edge["source"].partition("/")[0], edge["destination"].partition("/")[0])
        counts[key] = counts.get(key, 0) + edge["requests"]
    return counts


def more(after: dict[tuple[str, str], int], before: dict[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """What came on top."""
    return {key: count - before.get(key, 0) for key, count in after.items() if count != before.get(key, 0)}


@asynccontextmanager
async def counted(project: Project) -> AsyncIterator[dict[tuple[str, str], int]]:
    """The requests made while the block ran, once it has ended."""
    counts: dict[tuple[str, str], int] = {}
    before = await edges(project)
    yield counts
    counts.update(more(await edges(project), before))


def mesh_pid(project: Project) -> int:
    return int(json.loads((project.state / project.name / "mesh.json").read_text())["pid"])


def admin_url(project: Project) -> str:
    url: str = json.loads((project.state / project.name / "mesh.json").read_text())["admin_url"]
    return url
