"""Show a mesh that runs in this process: live in a terminal, line by line everywhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import trio

from composemesh.admin.turns import in_turns
from composemesh.cli.logs import log_to
from composemesh.runtime.files import private
from composemesh.stack.state import StateFolder

if TYPE_CHECKING:
    from composemesh.admin.mesh_view import MeshView

FRAME = 1.0
"""Seconds between two pictures: rates are taken over seconds, so more would show nothing new."""
LINE = 3.0
"""Seconds between two looks for something worth a line."""


def follow(folder: StateFolder) -> Callable[[MeshView], Awaitable[None]]:
    """What shows the mesh to whoever watches. Says where the log goes, so call it before the mesh starts."""
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        folder.prepare()
        log_to(open(folder.log, "a", encoding="utf-8", opener=private, buffering=1))  # noqa: SIM115
        return _picture
    log_to(sys.stderr)
    return _lines


async def _picture(mesh: MeshView) -> None:
    from rich.live import Live

    from composemesh.cli.live import live_view

    with Live(auto_refresh=False, vertical_overflow="ellipsis") as live:
        while True:
            status = await in_turns(mesh.status_in_pieces())
            live.update(live_view(status, await in_turns(mesh.graph_in_pieces(None))), refresh=True)
            await trio.sleep(FRAME)


async def _lines(mesh: MeshView) -> None:
    from composemesh.cli.plain import events, summary

    print(f"The mesh serves: {mesh.admin_url}", flush=True)
    before: Mapping[str, Any] = {}
    said = ""
    while True:
        status = await in_turns(mesh.status_in_pieces())
        for line in events(before, status):
            print(line, flush=True)
        line = summary(status, await in_turns(mesh.graph_in_pieces(None)))
        if line != said:
            print(line, flush=True)
        before, said = status, line
        await trio.sleep(LINE)
