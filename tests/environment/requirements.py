"""What a marked test asks of the machine, and the one line that says why the machine does not have it."""

from __future__ import annotations

import functools
import os
import sys
from importlib.util import find_spec

from . import compose, engine
from .folder import is_root
from .tools import find

REQUIRED = os.environ.get("COMPOSEMESH_REQUIRE_DOCKER") == "1"  # CI: what is missing fails instead of being skipped


@functools.cache
def docker() -> str | None:
    """Why the tests marked `docker` cannot run here, or None when they can."""
    if find("docker") is None:
        return "Docker is not installed; `make test` installs it where root may, on Debian"
    if engine.answering() is None:
        return "no Docker engine answers; `make test` starts one where root may, on Debian"
    if compose.installed_version() is None:
        return "Docker Compose is not installed; `make test` fetches it on Debian"
    return None


@functools.cache
def root() -> str | None:
    """Why the tests marked `root` cannot run here, or None when they can."""
    if sys.platform != "linux":
        return "network namespaces are a thing of Linux"
    if not is_root():
        return "only root may make network namespaces"
    absent = [program for program in ("ip", "iptables-restore") if find(program) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


def interpreted() -> str | None:
    """Why the tests marked `interpreted` cannot run here, or None when they can."""
    lane = find_spec("composemesh.proxy.lane")
    compiled = lane is not None and (lane.origin or "").endswith(".so")
    return "it changes a function that is compiled here" if compiled else None


def programs(*names: str) -> str | None:
    """Which of these programs are not on this machine, or None when all are."""
    absent = [name for name in names if find(name) is None]
    return (
        f"not installed: {', '.join(absent)}; `make environment` installs them where root may, on Debian"
        if absent
        else None
    )
