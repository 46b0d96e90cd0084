"""Which process is meant: a pid is given to another process later, a pid and the moment it began are not."""

from __future__ import annotations

import os
import time


def process_start(pid: int) -> int | None:
    """When a process began, in clock ticks since the host started (proc_pid_stat(5), field 22).

    None where no such process lives; a zombie, reaped or not, does not live.
    """
    return _start(f"/proc/{pid}/stat")


def process_start_in(folder: int) -> int | None:
    """The same of the process whose folder in /proc is open as `folder`: surely that one, whoever has its pid now."""
    return _start("stat", folder)


def seconds_since(ticks: int) -> float:
    """How long ago a moment was that `process_start` gave."""
    return max(time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"), 0.0)


def _start(path: str, folder: int | None = None) -> int | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None
    try:
        # The name, in parentheses, may hold blanks and parentheses of its own: what follows it starts with field 3.
        fields = os.read(fd, 4096).rpartition(b")")[2].split()
        return None if fields[0] in b"ZX" else int(fields[19])
    except (OSError, IndexError):
        return None
    finally:
        os.close(fd)
