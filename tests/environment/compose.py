"""The Compose plugin: 2.40 for the provider protocol, and the older 2.26 at hand for the tests that ask for it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from . import apt
from .folder import HOME, say

SUITES = {"2.40": "sid", "2.26": "trixie"}
CURRENT = "2.40"
PROVIDERS_SINCE = (2, 36)
IN_PACKAGE = Path("usr/libexec/docker/cli-plugins/docker-compose")


def provide() -> str:
    """Make `docker compose` of at least 2.36 answer for this user; return its version. Raises Missing."""
    version = installed_version()
    if version is None or _numbers(version) < PROVIDERS_SINCE:
        _install(cached(CURRENT))
        version = installed_version()
    assert version is not None, "the plugin was just installed"
    return version


def installed_version() -> str | None:
    """What `docker compose version` says, or None when there is no such plugin."""
    return None if shutil.which("docker") is None else _version_of("docker", "compose")


def cached(wanted: str) -> Path:
    """The plugin's binary of version line `wanted` ("2.40" or "2.26"), fetched the first time. Raises Missing."""
    binary = HOME / "compose" / wanted / "docker-compose"
    if not binary.exists():
        unpacked = apt.fetch("docker-compose", SUITES[wanted], HOME / "compose" / f"{wanted}.unpacking")
        binary.parent.mkdir(parents=True, exist_ok=True)
        (unpacked / IN_PACKAGE).chmod(0o755)
        (unpacked / IN_PACKAGE).replace(binary)
        shutil.rmtree(unpacked)
    return binary


def _install(binary: Path) -> None:
    plugin = _plugin()
    plugin.parent.mkdir(parents=True, exist_ok=True)
    arriving = plugin.with_suffix(".new")
    shutil.copy2(binary, arriving)
    arriving.replace(plugin)  # a `docker compose` that runs at this moment keeps its old file
    say(f"Compose {_version_of('docker', 'compose')} is now this user's `docker compose`")


def _plugin() -> Path:
    config = os.environ.get("DOCKER_CONFIG")
    return (Path(config) if config else Path.home() / ".docker") / "cli-plugins" / "docker-compose"


def _version_of(*command: str | Path) -> str | None:
    done = subprocess.run([*command, "version", "--short"], capture_output=True, text=True)
    return done.stdout.strip().removeprefix("v") if done.returncode == 0 else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("-")[0].split("+")[0].split(".")[:2])
