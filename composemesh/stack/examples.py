"""The examples that come with the package, as files on disk, wherever the package itself is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from composemesh.stack.errors import UserError


@contextmanager
def example(name: str) -> Iterator[Path]:
    """The folder of one example, there for as long as the block runs.

    An installed package has the examples inside; in a source tree they stand beside it; out of a zip they are
    copied to a temporary folder, for other programs are to read them. Raises UserError where there are none.
    """
    package = files("composemesh")
    found = package / "examples" / name
    if not found.is_dir() and isinstance(package, Path):
        found = package.parent / "examples" / name
    if not found.is_dir():
        raise UserError(f"This copy of composemesh has no example {name!r}: install it again from the package.")
    if isinstance(found, Path):
        yield found
        return
    with tempfile.TemporaryDirectory(prefix="composemesh-") as folder:
        # Containers that run as another user mount this folder.
        Path(folder).chmod(0o755)
        target = Path(folder) / name
        copy(found, target)
        yield target


def copy(source: Traversable, target: Path) -> None:
    """Write a folder of a zip to disk."""
    target.mkdir()
    for entry in source.iterdir():
        if entry.is_dir():
            copy(entry, target / entry.name)
        else:
            (target / entry.name).write_bytes(entry.read_bytes())
