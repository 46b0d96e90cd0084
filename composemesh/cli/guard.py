"""The last line of defence: whatever goes wrong, the user reads one line that says what to do next."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import click

from composemesh.runtime.groups import leaves
from composemesh.stack.errors import UserError

BUG = 70
"""EX_SOFTWARE of sysexits.h: our fault, not the user's."""
INTERRUPTED = 128 + signal.SIGINT


def guarded(command: click.Command) -> int:
    """Run `command` with this process's arguments; return its exit code. Nothing else comes out of it."""
    try:
        code = command.main(prog_name="composemesh", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        # Whoever read us has gone, e.g. `head`. Python flushes once more on its way out: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except BaseException as problem:
        code, message = answer_to(problem)
        return complain(message, code) if message else code


def complain(message: str, code: int) -> int:
    """Say one line on standard error; return the exit code."""
    print(f"composemesh: {message}", file=sys.stderr)
    return code


def exit_with(code: int) -> NoReturn:
    """End a command that has said what there was to say."""
    raise click.exceptions.Exit(code)


def answer_to(problem: BaseException) -> tuple[int, str]:
    """The exit code that belongs to what went wrong, and what to say about it in one line; empty for nothing."""
    for leaf in leaves(problem):
        if isinstance(leaf, UserError):
            return leaf.exit_code, _one_line(str(leaf))
        if isinstance(leaf, click.ClickException):
            return leaf.exit_code, _one_line(_usage(leaf))
        if isinstance(leaf, SystemExit):  # click's, when nobody reads what it prints
            return (leaf.code if isinstance(leaf.code, int) else 1), ""
    if all(isinstance(leaf, KeyboardInterrupt | click.Abort) for leaf in leaves(problem)):
        return INTERRUPTED, ""
    return BUG, _one_line(_confess(problem))


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _usage(problem: click.ClickException) -> str:
    """Click's three lines as one."""
    message = problem.format_message()
    context = getattr(problem, "ctx", None)
    return f"{message} See `{context.command_path} --help`." if context is not None else message


def _confess(problem: BaseException) -> str:
    first = next(leaves(problem))
    what = f"{type(first).__name__}: {first}" if str(first) else type(first).__name__
    if os.environ.get("COMPOSEMESH_DEBUG"):
        traceback.print_exception(problem)
        return f"this is a bug in composemesh: {what}."
    place = _keep(problem)
    if place is None:
        return f"this is a bug in composemesh: {what}. COMPOSEMESH_DEBUG=1 shows the traceback, to report with it."
    return f"this is a bug in composemesh: {what}. Please report it, with {place}."


def _keep(problem: BaseException) -> Path | None:
    """Write the traceback where the user can find it; None where that is not possible either."""
    from composemesh.cli.context import state_folders
    from composemesh.runtime.files import private

    try:
        root = state_folders()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = root / "crash.log"
        with open(place, "w", encoding="utf-8", opener=private) as file:
            file.write(f"{sys.argv}\n")
            traceback.print_exception(problem, file=file)
    except OSError:
        return None
    return place
