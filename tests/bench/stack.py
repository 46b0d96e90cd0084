"""A real stack of twenty services: how soon the mesh is ready, what it weighs, how soon a restart is captured.

Seen from outside only: the admin API says that all are captured, the engine's own clock says when a container
started, and the rules in its namespace say when it was captured. That last figure includes our looking, about 5 ms.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import trio

from composemesh.discovery.docker.client import DockerClient
from environment import python_image, requirements
from environment.project import PROJECT_LABEL, Project, project

from .processes import NotHere, resident_bytes

SERVICES = 20
ATTACHMENTS = 3
RESTARTS = 4  # under each attachment
LIMIT_SECONDS = 60.0
LOOK_SECONDS = 0.005
CAPTURED = "COMPOSEMESH_OUT"

SERVICE = """
  s{number}:
    image: ${{PYTHON_IMAGE}}
    command: [python3, -m, http.server, "8000"]
    stop_signal: SIGKILL
"""


@dataclass(frozen=True)
class Figures:
    """Seconds from each command to all captured, memory then, milliseconds from start events to the rules."""

    services: int
    ready_seconds: tuple[float, ...]
    resident_bytes: int
    capture_ms: tuple[float, ...]

    @property
    def ready_median_seconds(self) -> float:
        return median(self.ready_seconds)

    @property
    def capture_median_ms(self) -> float:
        return median(self.capture_ms)


def measure(folder: Path) -> Figures:
    """Start a stack, attach a mesh to it, restart containers under it, take both down. Raises NotHere."""
    if reason := requirements.docker() or requirements.root():
        raise NotHere(reason)
    with project(folder, python_image.provide()) as stack:
        return trio.run(_measure, stack)


async def _measure(stack: Project) -> Figures:
    stack.write("services:" + "".join(SERVICE.format(number=number) for number in range(SERVICES)))
    await stack.compose("up", "--detach")
    ready: list[float] = []
    memory: list[int] = []
    latencies: list[float] = []
    for attachment in range(ATTACHMENTS):
        began = time.perf_counter()
        async with _attached(stack) as mesh:
            serving = await _until_all_captured(stack, mesh)
            ready.append(time.perf_counter() - began)
            memory.append(resident_bytes(serving))
            services = range(attachment, SERVICES, ATTACHMENTS)[:RESTARTS]
            latencies += [await _capture_latency(stack, f"s{number}") for number in services]
    return Figures(SERVICES, tuple(ready), max(memory), tuple(latencies))


@asynccontextmanager
async def _attached(stack: Project) -> AsyncIterator[trio.Process]:
    log = (stack.folder / "mesh.log").open("wb")
    command = [sys.executable, "-m", "composemesh", "attach"]
    mesh = await trio.lowlevel.open_process(
        command, cwd=stack.folder, env=stack.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
    )
    try:
        yield mesh
    finally:
        mesh.terminate()
        with trio.CancelScope(shield=True):
            await mesh.wait()
        log.close()


async def _until_all_captured(stack: Project, mesh: trio.Process) -> int:
    """The id of the process that serves, as soon as it says that it captured everything. Raises NotHere."""
    with trio.move_on_after(LIMIT_SECONDS):
        while mesh.poll() is None:
            status = await trio.to_thread.run_sync(_status, stack.state)
            workloads = [workload for service in status.get("services", []) for workload in service["workloads"]]
            if sum(bool(workload["captured"]) for workload in workloads) >= SERVICES:
                return int(status["pid"])
            await trio.sleep(LOOK_SECONDS)
    said = (stack.folder / "mesh.log").read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    raise NotHere(f"the mesh did not capture {SERVICES} services: {said[-1]}")


def _status(state: Path) -> dict[str, Any]:
    """What the admin API says, or nothing as long as there is none."""
    try:
        record = json.loads(next(state.rglob("mesh.json")).read_text())
        with urlopen(f"{record['admin_url']}/api/v1/status", timeout=5) as answer:
            status: dict[str, Any] = json.loads(answer.read())
            return status
    except (StopIteration, URLError, OSError, ValueError, KeyError):
        return {}


async def _capture_latency(stack: Project, service: str) -> float:
    """Restart a service's container; milliseconds from the engine's start event to the rules in the new namespace."""
    filters = {"event": ["start"], "label": [f"{PROJECT_LABEL}={stack.name}"]}
    container = (await stack.container(service))["Id"]
    async with (
        DockerClient() as engine,
        engine.events(filters=filters) as events,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(stack.run, "docker", "restart", "--time", "0", container)
        event = await anext(aiter(events))
        inspected = await engine.get("containers", container, "json")
        return float(await _captured_at(inspected["State"]["Pid"]) - event["timeNano"] / 1e6)


async def _captured_at(pid: int) -> float:
    """Wall clock, in milliseconds, at the first look that finds rules in the namespace of `pid`. Raises NotHere."""
    look = ["nsenter", "--target", str(pid), "--net", "iptables-save", "-t", "nat"]
    with trio.move_on_after(LIMIT_SECONDS):
        while True:
            rules = await trio.run_process(look, capture_stdout=True)
            if f":{CAPTURED}".encode() in rules.stdout:
                return time.time() * 1e3
    raise NotHere("a restarted container was not captured")
