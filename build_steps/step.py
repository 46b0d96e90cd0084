"""One file or folder of the tree that is made out of others, and whether it is time to."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple


class CannotMake(Exception):
    """Something that a step needs is not here; says in one line what to do."""


class Step(NamedTuple):
    """One file or folder of the tree that is made out of others."""

    output: str
    """Path of a file that is there, and younger than every source, once the step is done."""
    sources: tuple[str, ...]
    """Files and folders it is made from; where none is there, there is nothing to make."""
    requires: tuple[str, ...]
    """Distributions that `make` imports or runs."""
    make: Callable[[Path], None]
    """Called with the project's root. Raises CannotMake."""
    digested: bool = False
    """Whether `output` holds the digest of the sources it was made from: git gives what it checks out a new time."""

    def is_due(self, root: Path) -> bool:
        output = root / self.output
        if not output.exists():
            return any((root / source).exists() for source in self.sources)
        if (root / "PKG-INFO").exists():
            return False  # an unpacked sdist: complete, and its times are those of unpacking
        if self.digested:
            return output.read_text() != digest(root, self.sources)
        made = output.stat().st_mtime
        return any(file.stat().st_mtime > made for source in self.sources for file in _files(root / source))


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield from [path] if path.exists() else []
        return
    for folder, subfolders, names in os.walk(path):
        subfolders[:] = [name for name in subfolders if name not in ("node_modules", "__pycache__")]
        yield from (Path(folder, name) for name in names)


def digest(root: Path, sources: tuple[str, ...]) -> str:
    """Of the names and contents of all these files."""
    digest = hashlib.sha256()
    for file in sorted(file for source in sources for file in _files(root / source)):
        digest.update(f"{file.relative_to(root)} {file.stat().st_size}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def replace(path: Path, content: bytes) -> None:
    """Written whole or not at all: a file that is there counts as made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)
