"""The Docker engine, for commands that ask it one thing: where it answers, what it is, what runs in a project."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trio

from composemesh.discovery.docker.client import DEFAULT_ENDPOINT, DockerClient, EngineError, EngineUnreachable
from composemesh.discovery.docker.source import DockerSource
from composemesh.model.workload import Discovered
from composemesh.stack.errors import UserError


def docker_endpoint(environ: Mapping[str, str]) -> str:
    """DOCKER_HOST, else the current Docker context, else the default socket.

    Raises UserError for an engine on another host: its containers' namespaces cannot be entered from here.
    """
    endpoint = environ.get("DOCKER_HOST") or _context_endpoint(environ) or DEFAULT_ENDPOINT
    if not endpoint.startswith(("unix://", "tcp://")):
        raise UserError(
            f"The Docker engine {endpoint} is not on this host: run composemesh where the containers run, "
            "or unset DOCKER_HOST and DOCKER_CONTEXT."
        )
    return endpoint


def _context_endpoint(environ: Mapping[str, str]) -> str:
    name = environ.get("DOCKER_CONTEXT") or _current_context(environ)
    if not name or name == "default":
        return ""
    try:
        answer = subprocess.run(
            ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}", name],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if answer.returncode:
        raise UserError(f"There is no Docker context {name!r}: `docker context ls` lists them.")
    return answer.stdout.strip()


def _current_context(environ: Mapping[str, str]) -> str:
    folder = environ.get("DOCKER_CONFIG") or Path(environ.get("HOME", "/"), ".docker")
    try:
        said = json.loads(Path(folder, "config.json").read_text(encoding="utf-8")).get("currentContext")
    except (OSError, ValueError, AttributeError):
        return ""
    return said if isinstance(said, str) else ""


async def ask_engine(endpoint: str, *path: str) -> Any:
    """One answer of the engine's API, e.g. to `ask_engine(endpoint, "version")`. Raises UserError."""
    try:
        async with DockerClient(endpoint) as client:
            return await client.get(*path)
    except (EngineUnreachable, EngineError) as problem:
        raise UserError(str(problem)) from problem


async def look(endpoint: str, project: str) -> Discovered:
    """What runs in the project at this moment. Raises UserError where the engine does not answer."""
    await ask_engine(endpoint, "version")
    seen: list[Discovered] = []

    async with trio.open_nursery() as nursery:

        def publish(state: Discovered) -> None:
            if not state.trouble:
                seen.append(state)
                nursery.cancel_scope.cancel()

        await DockerSource(DockerClient(endpoint), project).watch(publish)
    return seen[0]
