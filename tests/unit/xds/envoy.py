"""The real Envoy's word on a configuration."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from environment.tools import find


def validate(bootstrap: dict[str, Any], folder: Path) -> str:
    """What `envoy --mode validate` has against a bootstrap; empty where that is nothing."""
    program = find("envoy")
    if program is None:
        pytest.skip("Envoy is not here: `make environment` fetches it")
    file = folder / "bootstrap.json"
    file.write_text(json.dumps(bootstrap))
    command = [str(program), "--mode", "validate", "-c", str(file), "-l", "error"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stderr + done.stdout if done.returncode else ""
