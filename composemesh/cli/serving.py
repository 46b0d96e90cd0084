"""A mesh in this process, from the first to the last moment: its lock, its entry in the state folder, its signals."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

import trio

from composemesh import app
from composemesh.cli.guard import INTERRUPTED
from composemesh.discovery.docker.client import EngineError, EngineUnreachable
from composemesh.runtime.groups import leaves
from composemesh.stack.daemon import KEEP_STACK, this_command
from composemesh.stack.errors import UserError
from composemesh.stack.state import MeshEntry

if TYPE_CHECKING:
    from composemesh.admin.mesh_view import MeshView
    from composemesh.cli.starting import Start

ENDING = "Ending: requests under way get a few seconds. A second signal (Ctrl-C) ends it at once."

TURN = 0.0005
"""Seconds for which a thread goes on while the loop waits for its turn. The loop gives its turn away with every call
of a socket; so while a configuration is compiled, a request pays this several times. Of Python's own 5 ms it took
4.2 ms in the middle, and of these 0.7 ms (eight clients, one thread that never rests; nothing where none works)."""

Viewer = Callable[["MeshView"], Awaitable[object]]
Runner = Callable[..., Awaitable[None]]


async def nothing() -> None:
    """What there is to do before and after a mesh that leaves the stack alone."""


async def serve(
    start: Start,
    *,
    view: Viewer,
    run: Runner = app.run,
    before: Callable[[], Awaitable[object]] = nothing,
    after: Callable[[], Awaitable[object]] = nothing,
    in_a_hurry: Sequence[str] = (),
) -> None:
    """Be the mesh of this project until a signal, or until `view` is over; take everything down in order.

    `before` runs first; `run` is `app.run` or that with more arguments; `view` is given the mesh once it serves;
    `after` runs when capture is released and the mesh has drained, or when the signal came before that; not so if
    the signal was KEEP_STACK. A second signal ends the process at once: then others clean up behind it, and
    `in_a_hurry` is run in the place of `after`.
    """
    with start.folder.lock(), trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, KEEP_STACK) as signals:
        async with trio.open_nursery() as nursery:
            end = _End(start.project.name, in_a_hurry)
            nursery.start_soon(end.obey, signals)
            with end.serving:
                await before()
                await _mesh(start, view, run)
            start.folder.clear()
            if not end.keep_stack:
                await end.last(after)
            nursery.cancel_scope.cancel()


async def _mesh(start: Start, view: Viewer, run: Runner) -> None:
    """Serve while `view` runs. A mesh that fails leaves its entry behind, so that the next command cleans up."""
    sys.setswitchinterval(TURN)
    folder, compose = start.folder, start.project.describe()
    folder.write(MeshEntry.of_this_process(folder.project, compose))
    async with trio.open_nursery() as nursery:
        mesh = await nursery.start(_run, start, run)
        # What the start made stays to the end. The collector would look through all of it again and again, and every
        # request would wait: 25 to 100 ms each time. Frozen, it is passed over.
        gc.freeze()
        gc.enable()
        folder.write(
            MeshEntry.of_this_process(folder.project, compose, admin_url=mesh.admin_url, xds_url=mesh.xds_url)
        )
        try:
            await view(mesh)
        finally:
            print(ENDING, file=sys.stderr, flush=True)
        nursery.cancel_scope.cancel()


async def _run(start: Start, run: Runner, *, task_status: trio.TaskStatus[MeshView]) -> None:
    """The mesh, with what users can mend about its start said as users are spoken to."""
    try:
        await run(start.options(), task_status=task_status)
    except* (app.Rejected, EngineUnreachable, EngineError) as problems:
        raise UserError(str(next(leaves(problems)))) from problems


class _End:
    """What signals ask for: the end, then the end at once, and whether the stack goes on without the mesh."""

    def __init__(self, project: str, in_a_hurry: Sequence[str]) -> None:
        self.serving = trio.CancelScope()
        self.keep_stack = False
        self._project = project
        self._in_a_hurry = in_a_hurry
        self._last: trio.CancelScope | None = None

    async def obey(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if number == KEEP_STACK:
                self.keep_stack = True
            if not self.serving.cancel_called:
                self.serving.cancel()
            elif number == KEEP_STACK:
                continue  # it asks for no hurry
            elif self._last is not None:
                self._last.cancel()
            else:
                self._at_once()

    async def last(self, after: Callable[[], Awaitable[object]]) -> None:
        """Run `after` until it is done, or until it is to be done in a hurry."""
        with trio.CancelScope() as self._last:
            await after()
        if self._last.cancelled_caught:
            self._at_once()

    def _at_once(self) -> NoReturn:
        _leave_to_others([*this_command(), "down", "--keep-stack", f"--project-name={self._project}"])
        if self._in_a_hurry and not self.keep_stack:
            _leave_to_others(self._in_a_hurry)
        os._exit(INTERRUPTED)


def _leave_to_others(command: Sequence[str]) -> None:
    """Start a process that outlives this one."""
    quiet = subprocess.DEVNULL
    subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
