"""Where the environment keeps what it makes, and how its parts report."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".test-env"
SHARED = Path(os.getenv("COMPOSEMESH_SHARED", str(ROOT.parent / "shared")))
"""The collections of test input, beside the checkout and not in it."""


class Missing(Exception):
    """Something the tests need that this machine cannot be given; the message is one clear line."""


def say(line: str) -> None:
    """Progress, on standard error: standard output is for answers that scripts read."""
    print(f"test environment: {line}", file=sys.stderr, flush=True)


def is_root() -> bool:
    return os.geteuid() == 0
