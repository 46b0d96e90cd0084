"""Compose files and callers that several end-to-end tests share."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from environment.project import Project

APPS = Path(__file__).parent / "apps"
LONGEST_LOAD = 60.0

CALLER_AND_APP = f"""
services:
  caller:
    image: ${{PYTHON_IMAGE}}
    command: [python3, -c, "import signal; signal.sigwait([signal.SIGTERM])"]
    volumes: ["{APPS}:/apps:ro"]
    init: true
  app:
    image: ${{PYTHON_IMAGE}}
    command: [python3, /apps/server.py]
    volumes: ["{APPS}:/apps:ro"]
    init: true
"""


class Answers:
    """What a load that runs in a container will have said when it ends."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []

    @property
    def failures(self) -> list[dict[str, Any]]:
        return [each for each in self.all if each["status"] != 200]

    @property
    def slowest_ms(self) -> float:
        return float(max(each["ms"] for each in self.all))


@asynccontextmanager
async def load(project: Project, url: str, *, rate: float, seconds: float = 0.0) -> AsyncIterator[Answers]:
    """Run a steady load inside `caller`; the answers are complete when the block has ended. It lasts for `seconds`,
    or, without, as long as the block does, but no longer than LONGEST_LOAD."""
    answers = Answers()
    container = (await project.container("caller"))["Id"]

    async def run() -> None:
        lasts = str(seconds or LONGEST_LOAD)
        command = ("python3", "/apps/load.py", url, "--rate", str(rate), "--seconds", lasts)
        printed = await project.run("docker", "exec", container, *command)
        answers.all = [json.loads(line) for line in printed.splitlines()]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield answers
        if not seconds:
            await project.run("docker", "exec", container, "touch", "/tmp/enough")


async def status(project: Project) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(await project.mesh("status", "--format", "json"))
    return said


async def graph(project: Project) -> dict[tuple[str, str], dict[str, Any]]:
    """The edges by caller and called service/version."""
    said = json.loads(await project.mesh("graph", "--format", "json"))
    return {(edge["source"], edge["destination"]): edge for edge in said["edges"]}


async def rules(project: Project, service: str, number: int = 1) -> str:
    """The nat table inside a container, as the kernel has it."""
    pid = (await project.container(service, number))["State"]["Pid"]
    return await project.run("nsenter", "--net", "--target", str(pid), "iptables-save", "-t", "nat")
