"""A command of the user's as a host process: what it is told of the mesh, its signals, and its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import trio

from composemesh.stack.membership import Door

HOSTS = Path("/etc/hosts")
GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2)
"""SIGUSR1 means something to the mesh (`down --keep-stack`)."""
FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
"""The terminal sends these to the whole foreground, the command included."""
NOT_EXECUTABLE, NOT_FOUND = 126, 127
"""As shells say it (POSIX, 2.8.2)."""

LAUNCHER = """
import ctypes, os, signal, sys
parent, hosts, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(1, signal.SIGTERM, 0, 0, 0)
if os.getppid() != parent:
    sys.exit(143)
if hosts:
    private = libc.unshare(0x20000) == 0 and libc.mount(b"none", b"/", None, 0x44000, None) == 0
    if not private or libc.mount(hosts.encode(), b"/etc/hosts", None, 0x1000, None):
        why = os.strerror(ctypes.get_errno())
        print(f"composemesh: services are found by their environment variables only ({why}).", file=sys.stderr)
for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
    signal.signal(ignored, signal.SIG_DFL)
try:
    os.execvp(command[0], command)
except OSError as problem:
    print(f"composemesh: {command[0]} cannot be started: {problem.strerror}.", file=sys.stderr)
    sys.stderr.flush()
    os._exit(127 if isinstance(problem, FileNotFoundError) else 126)
"""
"""Becomes the command. Before that: it ends when we do, kill -9 included (prctl(2), PR_SET_PDEATHSIG), and sees a
hosts file of its own (mount_namespaces(7)), which no other process of the host sees. Python ignores two signals that
a command expects to be as they were."""


class Hosts:
    """A hosts file that also has the services: the host's own lines come last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rest = HOSTS.read_text(errors="replace") if HOSTS.exists() else ""
        path.touch(mode=0o644)
        path.chmod(0o644)

    def write(self, doors: Iterable[Door]) -> None:
        """In place, because what is mounted is this very file."""
        with open(self.path, "r+") as file:
            file.write(hosts_of(doors) + self._rest)
            file.truncate()


def hosts_of(doors: Iterable[Door]) -> str:
    """A line for each service all of whose doors have its own ports: any other caller would meet a stranger there."""
    by_service: dict[str, list[Door]] = {}
    for door in doors:
        by_service.setdefault(door.service, []).append(door)
    return "".join(
        f"{those[0].address} {service}\n"
        for service, those in sorted(by_service.items())
        if all(each.at == each.port for each in those)
    )


def environment(doors: Iterable[Door]) -> dict[str, str]:
    """`REVIEWS_HOSTNAME` and `REVIEWS_SERVICE_PORT` for each service; of several ports the lowest."""
    told: dict[str, str] = {}
    for door in sorted(doors, key=lambda door: (door.service, -door.port)):
        name = "".join(letter if letter.isalnum() else "_" for letter in door.service.upper())
        told |= {f"{name}_HOSTNAME": door.address, f"{name}_SERVICE_PORT": str(door.at)}
    return told


@asynccontextmanager
async def running(
    command: Sequence[str], environ: Mapping[str, str], hosts: Path | None = None, output: IO[bytes] | None = None
) -> AsyncIterator[subprocess.Popen[bytes]]:
    """The command, with our terminal and files, or, where there is an `output`, with that alone and in a session of
    its own. On the way out, cancelled or not, it has ended."""
    launched = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid()), str(hosts or ""), *command]
    # Not trio's own: it forks in a thread, and the kernel would take the end of that thread for ours.
    process = subprocess.Popen(  # noqa: ASYNC220
        launched,
        env=dict(environ),
        stdin=None if output is None else subprocess.DEVNULL,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        start_new_session=output is not None,
    )
    try:
        yield process
    finally:
        with trio.CancelScope(shield=True):
            await _end(process)


async def ended(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a command; its exit code, or 128 and the signal that ended it, as shells have it."""
    fd = os.pidfd_open(process.pid)
    try:
        await trio.lowlevel.wait_readable(fd)
    finally:
        os.close(fd)
    code = process.wait()
    return 128 - code if code < 0 else code


async def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        with trio.move_on_after(GRACE):
            await ended(process)
    if process.poll() is None:
        process.kill()
        process.wait()


@asynccontextmanager
async def passing_on_signals(process: subprocess.Popen[bytes]) -> AsyncIterator[None]:
    """What is sent to us is the command's to answer, while the block runs."""
    with trio.open_signal_receiver(*PASSED_ON) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_pass_on, signals, process)
            yield
            nursery.cancel_scope.cancel()


async def _pass_on(signals: AsyncIterator[int], process: subprocess.Popen[bytes]) -> None:
    async for number in signals:
        if number in FROM_TERMINAL and _in_foreground():
            continue
        if process.poll() is None:
            process.send_signal(number)


def _in_foreground() -> bool:
    """Whether a terminal is ours, and has sent what it sends to all of its foreground."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
