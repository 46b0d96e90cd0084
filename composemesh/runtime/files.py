"""Files for their owner alone, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def private(path: str | Path, flags: int) -> int:
    """Opens files for their owner alone, and never through a link that somebody put there; as an `opener`, too."""
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def replace(path: Path, text: str, *, durable: bool = False) -> None:
    """Put a text in the place of a file. `durable`: it is on disk when this returns. Raises OSError; blocks."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(draft, "w", encoding="utf-8", opener=private) as file:
        file.write(text)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    draft.replace(path)
