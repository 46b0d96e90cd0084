"""The files of one project: watched, resolved by Compose, and read whole, with the plugins that they name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import trio

from composemesh.config.asking import Early, Resolve, asked
from composemesh.config.extended import Plugins, read_extended
from composemesh.config.kinds import KINDS, Kinds
from composemesh.config.loaders.compose import explain
from composemesh.config.loaders.sources import read_sources
from composemesh.config.watch import Watch
from composemesh.config.written import Written
from composemesh.model.problem import Problem

RETRY = 10.0
"""Seconds until Compose is asked again after it could not answer, even when no file has changed."""


class ProjectFiles:
    """Those that Compose names, and those that they name in turn."""

    def __init__(
        self,
        resolve: Resolve | None = None,
        files: Sequence[Path] = (),
        plugins: Plugins | None = None,
        kinds: Kinds = KINDS,
    ) -> None:
        """`files` are those to watch besides the ones that `resolve` names; without `resolve`, none is ever read."""
        self._resolve = resolve
        self._files = tuple(files)
        self._named = self._files
        self._plugins = plugins
        self._kinds = kinds
        self._watch = Watch()
        self._watch.follow(self._files)
        self._read = Written()
        """What they said last, whether or not it was taken."""
        self._unanswered = False
        self._early: Early | None = None
        """What Compose was asked already, for `read` to take."""

    def __repr__(self) -> str:
        return f"<ProjectFiles {', '.join(map(str, self._named))}{' unanswered' if self._unanswered else ''}>"

    @property
    def readable(self) -> bool:
        """Whether there is a Compose that says what they mean."""
        return self._resolve is not None

    @property
    def folder(self) -> Path | None:
        """Where paths in labels begin."""
        return self._named[0].parent if self._named else None

    async def ask_early(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Ask Compose before `read` does, which takes the answer. Never raises. To be called by `start`."""
        early = self._early = None if self._resolve is None else Early()
        task_status.started()
        if early is not None and self._resolve is not None:
            await self._watch.reading()
            early.take_in(await asked(self._resolve))

    async def changed(self) -> None:
        """Wait until they are worth reading again."""
        await self._watch.changed(RETRY if self._unanswered else float("inf"))

    async def read(self) -> Written | Problem | None:
        """The new documents, or why there are none; None without Compose. Never raises for what users or Compose do.

        Cancelled, the next `read` finds what this one would have found.
        """
        if self._resolve is None:
            return None
        early, self._early = self._early, None
        if early is None:
            await self._watch.reading()
        resolved = await (asked(self._resolve) if early is None else early.answer())
        if isinstance(resolved, Exception):
            self._unanswered = True
            text = str(resolved) or repr(resolved)
            sources = await trio.to_thread.run_sync(read_sources, self._named)
            self._watch.follow((*self._files, *sources.watched, *self._read.watched))
            return explain(text, sources)
        self._unanswered = False
        self._named = resolved.files or self._named
        sources = await trio.to_thread.run_sync(read_sources, self._named)
        written = self._read = await read_extended(resolved, sources, self._plugins, self._kinds)
        self._watch.follow((*self._files, *sources.watched, *written.watched))
        return written
