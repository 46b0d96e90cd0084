"""Files that may change: noticed by looking, and only when whoever writes them has finished.

Polling, because a stat of a few files twice a second costs nothing and works on every file system, where inotify
stays silent on network and shared folders.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import trio

from composemesh.runtime.files import Stamp, stamp

POLL = 0.5
"""Seconds between two looks at the files."""
SETTLE = 0.1
"""Seconds that the files must stay the same before they are read: an editor may write in several steps."""


class Watch:
    """A set of files, as they were when they were last read."""

    def __init__(self) -> None:
        self._files: tuple[Path, ...] = ()
        self._stamps: dict[Path, Stamp] = {}

    def __repr__(self) -> str:
        return f"<Watch {len(self._files)} files>"

    async def reading(self) -> None:
        """The files are about to be read: whatever is written from now on is a change."""
        self._stamps = await _stamps(self._files)

    def follow(self, files: Iterable[Path]) -> None:
        """The files to look at from now on. One that was not known when it was read shows as a change."""
        self._files = tuple(dict.fromkeys(files))

    async def changed(self, patience: float = float("inf")) -> None:
        """Wait until a file has changed and all have settled, or until `patience` seconds are over."""
        deadline = trio.current_time() + patience
        while True:
            await trio.sleep(POLL)
            stamps = await _stamps(self._files)
            if stamps != self._stamps:
                break
            if trio.current_time() >= deadline:
                return
        while True:
            await trio.sleep(SETTLE)
            before, stamps = stamps, await _stamps(self._files)
            if stamps == before:
                return


async def _stamps(files: Iterable[Path]) -> dict[Path, Stamp]:
    return await trio.to_thread.run_sync(lambda: {file: stamp(file) for file in files})
