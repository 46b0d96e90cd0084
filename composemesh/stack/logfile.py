"""A log on disk: the one before is kept, and its last line says why something ended."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

TAIL = 4096
"""Bytes of a log's end in which its last line is looked for."""


def turn_over(log: Path) -> None:
    """Keep the log of the run before this one: it may be the one that says why it ended."""
    with contextlib.suppress(FileNotFoundError):
        log.replace(log.with_name(f"{log.name}.1"))


def last_words(log: Path) -> str:
    """The last line that says anything; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].strip() if lines else ""
