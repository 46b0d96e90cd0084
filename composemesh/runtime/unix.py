"""Unix sockets in folders with long names: an address has room for 107 bytes, a path for 4,095 (unix(7))."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

LONGEST_ADDRESS = 107
"""Bytes: sun_path has 108, one of them the end."""


@contextlib.contextmanager
def address_of(path: Path) -> Iterator[str]:
    """What to bind or connect a socket at `path` to: a folder whose name is too long is named by a descriptor.

    Good for as long as the block runs. Raises OSError where there is no such folder.
    """
    if len(os.fsencode(path)) <= LONGEST_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
