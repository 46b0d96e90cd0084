"""Files: for their owner alone, written whole or not at all, and noticed when they are others."""

from __future__ import annotations

import os
from pathlib import Path

Stamp = tuple[int, ...]


def stamp(path: str | Path) -> Stamp:
    """What is another where a file is: its time of modification, size and inode, or why it can't be seen. Blocks."""
    try:
        status = os.stat(path)
    except OSError as problem:
        return (problem.errno or 0,)
    return status.st_mtime_ns, status.st_size, status.st_ino


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
