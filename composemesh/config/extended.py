"""Documents that name plugins, and are read with the words that these bring along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import trio

from composemesh.catalog import Catalogs
from composemesh.config.kinds import KINDS, Kinds
from composemesh.config.loaders.resolved import Resolved
from composemesh.config.loaders.said import Place
from composemesh.config.loaders.sources import Sources
from composemesh.config.written import Written, plugins_of, read_written


class Plugins(Protocol):
    """Who loads what extends the mesh."""

    catalogs: Catalogs

    async def load_files(self, files: Sequence[tuple[Path, Place]]) -> bool:
        """Load those that are not here yet, named at these places. Whether there is news."""


async def read_extended(
    resolved: Resolved, sources: Sources, plugins: Plugins | None, kinds: Kinds = KINDS
) -> Written:
    """What is written, after the plugins that it names itself were loaded. Never raises for what users write."""
    if plugins is None:
        return await trio.to_thread.run_sync(read_written, resolved, sources)
    written = await trio.to_thread.run_sync(read_written, resolved, sources, plugins.catalogs, kinds)
    files = plugins_of(written, resolved)
    if await plugins.load_files(files):
        written = await trio.to_thread.run_sync(read_written, resolved, sources, plugins.catalogs, kinds)
    return replace(written, watched=(*written.watched, *(path for path, _ in files)))
