"""`composemesh demo`: Bookinfo, meshed, to look at: as processes of this host, or as containers."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from composemesh.cli.guard import complain, exit_with

if TYPE_CHECKING:

    from composemesh.app import Mesh
    from composemesh.cli.bookinfo import Reader

PROJECT = "demo"
DOCKER_PROJECT = "demo-docker"


@click.command()
@click.option("--seconds", type=click.FloatRange(min=1), metavar="N", help="End after so many seconds.")
@click.option("--requests", type=click.IntRange(min=1), metavar="N", help="End after so many requests for the page.")
@click.option("--docker", is_flag=True, help="Run containers with Docker Compose instead of local processes.")
def demo(seconds: float | None, requests: int | None, docker: bool) -> None:
    """Mesh a small bookstore, without Docker and without root, and send it some readers.

    Ctrl-C ends it. With --seconds or --requests it ends by itself, and exits 0 only if every service answered
    through the mesh. --docker runs the same as a Compose project; BOOKINFO_IMAGE is an image with Python for it.
    """
    import trio

    exit_with(trio.run(_demo, _Limits(seconds, requests), docker))


class _Limits:
    """When the demo ends by itself."""

    def __init__(self, seconds: float | None, requests: int | None) -> None:
        self.seconds = seconds
        self.requests = requests

    def __bool__(self) -> bool:
        return self.seconds is not None or self.requests is not None


class _Visit:
    """What is shown and done while the mesh serves: the view, and a reader of the page."""

    def __init__(self, reader: Reader, limits: _Limits, show: Callable[[Mesh], Awaitable[object]]) -> None:
        self.reader = reader
        self.limits = limits
        self.show = show
        self.silent: list[str] | None = None
        """Who did not answer; None where the visit was cut short."""

    async def __call__(self, mesh: Mesh) -> None:
        """Read the page until the limits are reached, and look who had a part in it."""
        import trio

        from composemesh.cli.bookinfo import missing

        print(f"Open {self.reader.url}", flush=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.show, mesh)
            with trio.move_on_after(self.limits.seconds if self.limits.seconds is not None else float("inf")):
                await self.reader.read(self.limits.requests)
            self.silent = missing(mesh.graph(None))
            nursery.cancel_scope.cancel()

    def verdict(self) -> int:
        """Say how it went; the exit code."""
        asked = f"{self.reader.answered} of {self.reader.answered + self.reader.failed} pages were good"
        if self.silent is None:
            print(f"Ended. {asked.capitalize()}.")
            return 130 if self.limits else 0
        if self.silent:
            return complain(f"did not answer through the mesh: {', '.join(self.silent)} ({asked}).", 1)
        print(f"Every service answered through the mesh; {asked}.")
        return 0


async def _demo(limits: _Limits, docker: bool) -> int:
    return await (_containers(limits) if docker else _processes(limits))


async def _processes(limits: _Limits) -> int:
    """Local processes, each on an address of its own; no Docker, no root."""
    import tempfile
    from pathlib import Path

    from composemesh.app import MeshOptions
    from composemesh.capture.loopback import LoopbackCapture, open_doors, unsupported
    from composemesh.cli.bookinfo import Reader, bookinfo
    from composemesh.cli.context import state_folders
    from composemesh.cli.following import follow
    from composemesh.stack.errors import UserError
    from composemesh.stack.examples import example
    from composemesh.stack.processes import Processes
    from composemesh.stack.state import StateFolder

    if reason := unsupported():
        raise UserError(reason)
    state = StateFolder(state_folders(), PROJECT)
    with ExitStack() as stack:
        stack.enter_context(state.lock())
        processes = bookinfo(stack.enter_context(example("bookinfo")))
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="composemesh-demo-")))
        doors = open_doors([process.member for process in processes])
        for each in doors.values():
            stack.callback(each.close)
        source = Processes(processes, doors, logs, os.environ)
        capture = LoopbackCapture(source.discovered, doors)
        front = doors[processes[0].member.id].front
        assert front is not None, "productpage is published"
        visit = _Visit(Reader(*front), limits, follow(state))
        options = MeshOptions(project=PROJECT, state=state.path, capture="loopback")
        await _serve(state, options, source, capture, visit)
        return visit.verdict()
