"""A container's network namespace, used from outside: sockets and programs that live in it while we stay at home.

The calling thread enters, makes what it came for and comes straight back; nothing may be awaited in between. A thread
that cannot come back would put the next socket of the mesh into somebody else's network, so it ends the process.
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

import structlog
import trio

from composemesh.capture import listening
from composemesh.capture.refusal import DIED, NO_PERMISSION, Refused
from composemesh.capture.rules import MARK
from composemesh.model.workload import Workload
from composemesh.runtime.process import process_start_in, seconds_since

log = structlog.get_logger()

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_CLOCK_DOUBT = 2.0
"""Seconds that Docker's clock and the kernel's may differ on when a container began."""
_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")

if sys.version_info >= (3, 12):

    def _setns(fd: int) -> None:
        os.setns(fd, _CLONE_NEWNET)

else:
    # PyDLL keeps the interpreter's lock over a call of one microsecond: no other thread slips in between.
    _libc = ctypes.PyDLL(None, use_errno=True)

    def _setns(fd: int) -> None:
        if _libc.setns(fd, _CLONE_NEWNET) != 0:
            problem = ctypes.get_errno()
            raise OSError(problem, os.strerror(problem))


@functools.cache
def _home() -> int:
    """The namespace that this process lives in, opened before anybody leaves it."""
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _come_back(home: int) -> None:
    try:
        _setns(home)
    except OSError as problem:
        log.critical("cannot come back from a container's network: ending", problem=repr(problem))
        os._exit(70)  # EX_SOFTWARE; unwinding would run the whole program in the wrong network


def rehearse() -> None:
    """Enter the namespace that we are in: nothing changes, and the kernel asks for the same rights as for another.

    Raises OSError.
    """
    _setns(_home())


class NetworkNamespace:
    """The network namespace of one life of a workload (`runtime.captured.Namespace`).

    The namespace and the process's folder in /proc are held open: from here on they mean this container, even
    when its pid is given to another process.
    """

    def __init__(self, process: int, namespace: int) -> None:
        self._process = process
        self._fd = namespace
        self._question: socket.socket | None = None
        self.inode = os.fstat(namespace).st_ino

    def __repr__(self) -> str:
        return f"<NetworkNamespace {self.inode}{'' if self._fd >= 0 else ' closed'}>"

    @classmethod
    def of(cls, workload: Workload) -> NetworkNamespace:
        """Open the namespace that `workload.pid` lives in.

        Raises `Refused` where the process is gone, is another one by now, or lives in the host's own namespace.
        """
        opened: list[int] = []
        try:
            opened.append(process := os.open(f"/proc/{workload.pid}", os.O_RDONLY | os.O_DIRECTORY))
            if not _still_is(workload, process):
                raise Refused(DIED)
            opened.append(namespace := os.open("ns/net", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process))
            if os.path.samestat(os.fstat(namespace), os.fstat(_home())):
                raise Refused("It lives on the host's own network, where its traffic cannot be told apart.")
            opened.clear()
            return cls(process, namespace)
        except PermissionError as problem:
            raise Refused(NO_PERMISSION) from problem
        except OSError as problem:
            raise Refused(DIED) from problem
        finally:
            for fd in opened:
                os.close(fd)

    def netlink(self, protocol: int) -> socket.socket:
        """A socket that speaks with the kernel about the namespace (netlink(7)). Raises OSError."""
        return self._make(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol))

    @trio.lowlevel.enable_ki_protection
    def socket(self, family: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A non-blocking socket inside, with the mesh's mark; 4 µs more than one at home. Raises OSError."""
        made = self._make(lambda: socket.socket(family, kind | socket.SOCK_NONBLOCK))
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
        except OSError:
            made.close()
            raise
        return made

    def spawn(self, command: Sequence[str]) -> subprocess.Popen[str]:
        """Start a program of the host inside the namespace, all three streams piped. Blocks: call it in a thread.

        It gets a process group of its own, so that a Ctrl-C meant for the mesh does not tear a transaction.
        """
        pipe = subprocess.PIPE
        start = functools.partial(
            subprocess.Popen[str], command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, process_group=0
        )
        return self._make(start)

    def listening(self, family: int) -> frozenset[int]:
        """TCP ports that somebody inside listens on, at an address that others can reach. Never raises."""
        try:
            if self._question is None:
                self._question = self._make(listening.open_question)
            return frozenset(listening.ask(self._question, family))
        except OSError:
            self._drop_question()
            return self._listening_by_proc(family)

    def _listening_by_proc(self, family: int) -> frozenset[int]:
        table = "net/tcp6" if family == socket.AF_INET6 else "net/tcp"
        try:
            with open(os.open(table, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._process), "rb") as file:
                return frozenset(listening.read(file.read()))
        except (OSError, ValueError):
            return frozenset()

    @trio.lowlevel.enable_ki_protection  # a Ctrl-C between the two calls would leave this thread abroad
    def _make(self, maker: Callable[[], T]) -> T:
        """Call `maker` inside the namespace, on this thread."""
        home = _home()
        _setns(self._fd)
        try:
            return maker()
        finally:
            _come_back(home)

    def close(self) -> None:
        """Let the namespace go: it dies with its last process and socket. Idempotent."""
        process, self._process = self._process, -1
        namespace, self._fd = self._fd, -1
        for fd in (process, namespace):
            if fd >= 0:
                os.close(fd)
        self._drop_question()

    def __del__(self) -> None:
        self.close()  # a life that the end of the mesh overtook still had exchanges to dial for

    def _drop_question(self) -> None:
        if self._question is not None:
            self._question.close()
            self._question = None


def _still_is(workload: Workload, process: int) -> bool:
    """Whether a process is still the workload's: pids come again, and the one we were told may be old news.

    Its cgroup names the container; where the host keeps no such cgroups, it must at least be as old as the container.
    """
    fd = os.open("cgroup", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)
    try:
        cgroup = os.read(fd, 1 << 16).decode(errors="replace")
    finally:
        os.close(fd)
    if workload.id in cgroup:
        return True
    if _CONTAINER_ID.fullmatch(workload.id) and _CONTAINER_ID.search(cgroup):
        return False
    ticks = process_start_in(process)
    try:
        began = datetime.fromisoformat(workload.started).timestamp()
    except ValueError:
        return ticks is not None
    if ticks is None:
        return False
    return time.time() - seconds_since(ticks) <= began + _CLOCK_DOUBT
