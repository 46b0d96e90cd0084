"""A Compose project that a test owns: its folder, its commands, and its certain end."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import trio

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
NUMBER_LABEL = "com.docker.compose.container-number"
MESH_END_SECONDS = 10.0


class Project:
    """One Compose project in a folder of its own, with `composemesh` at hand on a state folder of its own."""

    def __init__(self, folder: Path, name: str, image: str) -> None:
        self.folder = folder
        self.name = name
        self.image = image
        self.state = folder / "state"
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("COMPOSE_", "COMPOSEMESH_"))
        }
        self.environment = inherited | {
            "COMPOSE_PROJECT_NAME": name,
            "COMPOSEMESH_STATE_DIR": str(self.state),
            "PYTHON_IMAGE": image,
        }

    def write(self, text: str, file: str = "compose.yaml") -> Path:
        """Write a file of the project; in Compose files `${PYTHON_IMAGE}` is the image with Python."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    async def compose(self, *arguments: str) -> str:
        """Run `docker compose …` to its end and return its standard output. Raises CommandFailed."""
        return await self.run("docker", "compose", *arguments)

    async def mesh(self, *arguments: str) -> str:
        """Run `composemesh …` to its end and return its standard output. Raises CommandFailed."""
        return await self.run(sys.executable, "-m", "composemesh", *arguments)

    async def run(self, *command: str) -> str:
        """Run a command in the project's folder and return its standard output. Raises CommandFailed."""
        done = await trio.run_process(
            command, cwd=self.folder, env=self.environment, capture_stdout=True, capture_stderr=True, check=False
        )
        if done.returncode != 0:
            raise CommandFailed(command, done.returncode, done.stdout.decode(), done.stderr.decode())
        return done.stdout.decode()

    async def container(self, service: str, number: int = 1) -> dict[str, Any]:
        """What the engine says of a service's container (`docker inspect`). Raises CommandFailed without one."""
        labels = (f"{PROJECT_LABEL}={self.name}", f"{SERVICE_LABEL}={service}", f"{NUMBER_LABEL}={number}")
        filters = [word for label in labels for word in ("--filter", f"label={label}")]
        found = await self.run("docker", "ps", "--all", "--quiet", *filters)
        inspected: list[dict[str, Any]] = json.loads(await self.run("docker", "inspect", found.strip()))
        return inspected[0]

    async def address(self, service: str, number: int = 1) -> str:
        """The first IPv4 address of a service's container."""
        networks = (await self.container(service, number))["NetworkSettings"]["Networks"]
        address: str = next(network["IPAddress"] for network in networks.values() if network["IPAddress"])
        return address

    def end(self) -> None:
        """Take everything of the project away, whatever state it is in and whether or not its files are valid."""
        for record in self.state.rglob("mesh.json"):
            _end_process(int(json.loads(record.read_text())["pid"]))
        containers = _ids("ps", "--all", "--quiet", label=self.name)
        if containers:
            _docker("rm", "--force", "--volumes", *containers)
        for kind in ("network", "volume"):
            if found := _ids(kind, "ls", "--quiet", label=self.name):
                _docker(kind, "rm", *found)


class CommandFailed(AssertionError):
    """A command that should have worked; the message holds all that it said."""

    def __init__(self, command: tuple[str, ...], code: int, out: str, err: str) -> None:
        super().__init__(f"`{' '.join(command)}` ended with {code}\n{out}{err}")
        self.code, self.out, self.err = code, out, err


@contextmanager
def project(folder: Path, image: str) -> Iterator[Project]:
    """A project with a name that nobody else has, taken down whatever happens."""
    made = Project(folder, f"mesh-test-{uuid4().hex[:10]}", image)
    try:
        yield made
    finally:
        made.end()


def _ids(*listing: str, label: str) -> list[str]:
    return _docker(*listing, "--filter", f"label={PROJECT_LABEL}={label}").split()


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


def _end_process(pid: int) -> None:
    """Ask a mesh to end, insist when it does not; one that is gone already is fine."""
    try:
        end = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(end, signal.SIGTERM)
        if not select.select([end], [], [], MESH_END_SECONDS)[0]:
            signal.pidfd_send_signal(end, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(end)
