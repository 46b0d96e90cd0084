"""`composemesh demo`: Bookinfo, meshed, to look at: as processes of this host, or as containers."""

from __future__ import annotations

import gc
import math
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from composemesh.cli.guard import INTERRUPTED, complain, exit_with
from composemesh.model.snapshot import CaptureMode
from composemesh.stack.errors import UserError

if TYPE_CHECKING:
    from composemesh.admin.mesh_view import MeshView
    from composemesh.cli.bookinfo import Reader

PROJECT = "demo"
DOCKER_PROJECT = "demo-docker"
"""Not `bookinfo`, which may well run here already."""

START_LIMIT = 5.0
"""Seconds that the reader waits for all processes to listen."""


class Seconds(click.FloatRange):
    name = "number of seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a valid {self.name}.", param, ctx)
        return seconds


class Requests(click.IntRange):
    name = "number of requests"


@click.command()
@click.option("--seconds", type=Seconds(min=1), metavar="N", help="End after so many seconds.")
@click.option("--requests", type=Requests(min=1), metavar="N", help="End after so many requests for the page.")
@click.option("--docker", is_flag=True, help="Run containers, with Docker Compose, instead of local processes.")
def demo(seconds: float | None, requests: int | None, docker: bool) -> None:
    """Mesh a small bookstore, without Docker and without root, and send it a reader.

    Ctrl-C ends it. With --seconds or --requests it ends by itself, and exits 0 only if every service answered
    through the mesh. --docker does the same with containers, made from BOOKINFO_IMAGE or python:3.13-slim.
    """
    gc.disable()  # nothing of a start is garbage; `serve` enables it again
    import trio

    visit = Visit(seconds, requests)
    trio.run(_containers if docker else _processes, visit)
    exit_with(visit.verdict())


class Visit:
    """Somebody comes to see the demo: reads the page while the mesh is shown, then looks who had a part in it."""

    def __init__(self, seconds: float | None, requests: int | None) -> None:
        self.seconds = seconds
        self.requests = requests
        self.reader: Reader | None = None
        self.silent: list[str] | None = None
        """Who did not answer; None as long as the visit has not come to its end."""

    async def pay(self, mesh: MeshView, reader: Reader, show: Callable[[MeshView], Awaitable[object]]) -> None:
        """Read the page until the time is over or the requests are made; for ever where neither is said."""
        import trio

        from composemesh.cli.bookinfo import missing

        self.reader = reader
        print(f"Open {reader.url}", flush=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(show, mesh)
            with trio.move_on_after(math.inf if self.seconds is None else self.seconds):
                await reader.read(self.requests)
            self.silent = missing(mesh.graph(None))
            nursery.cancel_scope.cancel()

    def verdict(self) -> int:
        """Say how it went; the exit code."""
        reader = self.reader
        pages = f"{reader.answered} of {reader.asked} pages were good" if reader is not None else "no page was read"
        if self.silent:
            return complain(f"did not answer through the mesh: {', '.join(self.silent)} ({pages}).", 1)
        if self.silent is not None:
            print(f"Every service answered through the mesh; {pages}.")
            return 0
        print(f"Ended; {pages}.")
        return 0 if self.seconds is self.requests is None else INTERRUPTED


async def _processes(visit: Visit) -> None:
    """Local processes, each on an address of its own: no Docker, no root."""
    import tempfile
    from functools import partial
    from pathlib import Path

    import trio

    from composemesh import app
    from composemesh.capture.loopback import LoopbackCapture, open_doors, unsupported
    from composemesh.cli.bookinfo import Reader, bookinfo
    from composemesh.cli.context import state_folders
    from composemesh.cli.following import follow
    from composemesh.cli.serving import serve
    from composemesh.cli.starting import Start
    from composemesh.stack.compose import ComposeProject
    from composemesh.stack.examples import example
    from composemesh.stack.processes import Processes
    from composemesh.stack.state import StateFolder

    if reason := unsupported():
        raise UserError(reason)
    with ExitStack() as stack:
        processes = bookinfo(stack.enter_context(example("bookinfo")))
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="composemesh-")))
        doors = open_doors([process.member for process in processes])
        for each in doors.values():
            stack.callback(each.close)
        source = Processes(processes, doors, logs, os.environ)
        capture = LoopbackCapture(source.discovered, doors)
        start = Start(
            ComposeProject(PROJECT), StateFolder(state_folders(), PROJECT), docker="", capture=CaptureMode.LOOPBACK
        )
        start.folder.forget_changes()  # a visitor finds the demo as the page describes it
        show = follow(start.folder)

        async def pay(mesh: MeshView) -> None:
            with trio.move_on_after(START_LIMIT):  # who is not there by then is named in the end
                await source.listening()
            await visit.pay(mesh, Reader(*capture.front), show)

        await serve(start, view=pay, run=partial(app.run, sources=[source], capture=capture))


async def _containers(visit: Visit) -> None:
    """The Compose project, started, meshed and taken away again."""
    import trio

    from composemesh.cli.bookinfo import PORT, Reader
    from composemesh.cli.following import follow
    from composemesh.cli.serving import serve
    from composemesh.cli.starting import make_start
    from composemesh.stack.compose import ComposeProject
    from composemesh.stack.examples import example

    with example("bookinfo") as folder:
        port = int(os.environ.setdefault("BOOKINFO_PORT", str(_free_port(PORT))))  # Compose and its file read it
        project, _ = await ComposeProject(DOCKER_PROJECT, (folder / "compose.yaml",)).pinned()
        start = await make_start(project)
        start.folder.forget_changes()
        show = follow(start.folder)

        async def up() -> None:
            if await project.run("up", "--detach"):
                raise UserError("Docker Compose did not start Bookinfo: it says why above.")

        async def pay(mesh: MeshView) -> None:
            await visit.pay(mesh, Reader("127.0.0.1", port), show)

        try:
            await serve(start, view=pay, before=up)
        finally:
            with trio.CancelScope(shield=True):
                await project.run("down", "--timeout", "5", own_session=True)


def _free_port(first: int) -> int:
    """The first port from here on that nobody listens on, at any address."""
    for port in range(first, first + 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
                probe.listen()
            except OSError:
                continue
            return port
    return first
