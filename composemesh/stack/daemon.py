"""A mesh in the background: started, waited for, and ended. Nothing here sleeps and looks again.

The new process tells the old one through a pipe that it serves, or why it does not; its end is a pidfd becoming
readable. So a start takes exactly as long as the mesh does, and a pid that was given to somebody else is never hit.
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from composemesh.runtime.files import private
from composemesh.stack.errors import UserError
from composemesh.stack.logfile import last_words, turn_over
from composemesh.stack.state import StateFolder, process_identity

START_LIMIT = 60.0
"""Seconds a mesh may take to serve: it may have to enter hundreds of containers on a busy machine."""
STOP_LIMIT = 30.0
"""Seconds a mesh may take to end: it drains, bounded, and takes its rules out of every container."""
KEEP_STACK = signal.SIGUSR1
"""Asks a mesh to end alone. SIGTERM, like Ctrl-C, also stops the stack of an `up` in the foreground."""


class Ended(enum.Enum):
    """How a mesh ended, for whoever must clean up behind it."""

    NOT_RUNNING = "not running"
    WELL = "well"
    KILLED = "killed"
    """It was killed, now or earlier: capture rules may have stayed behind."""


def this_command() -> list[str]:
    """How this very program was called, without its arguments: installed, from the one file, or with -m."""
    if not sys.orig_argv or len(sys.argv) > len(sys.orig_argv):
        return [sys.executable, "-m", "composemesh"]
    before_arguments = sys.orig_argv[1 : len(sys.orig_argv) - (len(sys.argv) - 1)]
    return [sys.executable, *before_arguments]


@dataclass(frozen=True, slots=True)
class Ready:
    """What a mesh in the background says once, through its pipe."""

    admin_url: str = ""
    error: str = ""
    exit_code: int = 1

    def tell(self, fd: int) -> None:
        """Write it and close. A starter that has gone away is nobody's trouble."""
        said = {"admin_url": self.admin_url, "error": self.error, "exit_code": self.exit_code}
        with contextlib.suppress(OSError), open(fd, "w", encoding="utf-8") as pipe:
            pipe.write(json.dumps(said) + "\n")


def spawn(folder: StateFolder, command: Sequence[str], *, limit: float = START_LIMIT) -> Ready:
    """Start `command` in a session of its own and wait until it serves.

    The command gets `--ready-fd N`, and tells `Ready` there. Its output goes to the folder's mesh.log. Interrupted or
    too late, it is ended before this returns. Raises UserError with what it said.
    """
    folder.prepare()
    turn_over(folder.log)
    reader, writer = os.pipe()
    with open(folder.log, "ab", opener=private) as log:
        process = subprocess.Popen(
            [*command, f"--ready-fd={writer}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(writer,),
            start_new_session=True,
        )
    os.close(writer)
    try:
        ready = _told(reader, process, folder, limit)
    except BaseException:
        _end(process)
        raise
    finally:
        os.close(reader)
    process.returncode = 0  # it lives on, and is not ours to wait for: keeps Popen from warning about it
    return ready


def _told(reader: int, process: subprocess.Popen[bytes], folder: StateFolder, limit: float) -> Ready:
    line = _read_line(reader, limit)
    if line is None:
        raise UserError(f"The mesh did not come up within {limit:.0f} s: {folder.log} says how far it got.")
    if not line:
        code, said = process.wait(), last_words(folder.log) or "it left no word"
        raise UserError(f"The mesh ended while it started (exit {code}): {said} ({folder.log})")
    ready = Ready(**json.loads(line))
    if ready.error:
        process.wait()
        problem = UserError(ready.error)
        problem.exit_code = ready.exit_code
        raise problem
    return ready


def _read_line(reader: int, limit: float) -> bytes | None:
    """Everything up to the writer's end of the pipe; None where that takes longer than `limit` seconds."""
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    deadline, said = time.monotonic() + limit, b""
    while not said.endswith(b"\n"):
        if not poll.poll(max(deadline - time.monotonic(), 0) * 1000):
            return None
        piece = os.read(reader, 65536)
        if not piece:
            return b""
        said += piece
    return said


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def stop(folder: StateFolder, *, keep_stack: bool = False, limit: float = STOP_LIMIT) -> Ended:
    """End the mesh that serves this project and wait for its exit. Raises UserError where it is not ours to end.

    `keep_stack`: see that a mesh which would stop its stack as it ends leaves it alone.
    """
    entry = folder.entry()
    if entry is None:
        return Ended.NOT_RUNNING
    if not entry.alive:
        return Ended.KILLED
    try:
        pidfd = os.pidfd_open(entry.pid)
    except ProcessLookupError:
        return _how(folder)
    try:
        # Only now is the pid held: what was checked before may have been the process before.
        if process_identity(entry.pid) != entry.process:
            return _how(folder)
        signal.pidfd_send_signal(pidfd, KEEP_STACK if keep_stack else signal.SIGTERM)
        if _ended(pidfd, limit):
            return _how(folder)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        _ended(pidfd, limit)
        return Ended.KILLED
    except PermissionError:
        raise UserError(f"Process {entry.pid} is another user's mesh: `sudo composemesh down`.") from None
    finally:
        os.close(pidfd)


def _ended(pidfd: int, limit: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(limit * 1000))


def _how(folder: StateFolder) -> Ended:
    """A mesh that ends well takes its entry along."""
    return Ended.WELL if folder.entry() is None else Ended.KILLED
