"""A Docker engine: the one that answers, or one of our own where root on Debian may start it.

We stop only what we started: the pid file names the process and its start time, so a number used again by another
process is never hit.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

from . import apt
from .folder import HOME, Missing, is_root, say
from .tools import find

START_SECONDS = 60.0
STOP_SECONDS = 30.0
PID_FILE = HOME / "dockerd.pid"
LOG = HOME / "dockerd.log"


def provide() -> str:
    """Make an engine answer; return its version. Raises Missing with what stands in the way."""
    if (version := answering()) is not None:
        return version
    if not is_root():
        raise Missing("no Docker engine answers (Docker), and only root can start one")
    _install()
    _start()
    version = answering()
    assert version is not None, "the engine answered a moment ago"
    return version


def answering() -> str | None:
    """The version of the engine that the `docker` command reaches, or None."""
    if shutil.which("docker") is None:
        return None
    done = subprocess.run(["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def release() -> None:
    """Stop the engine that `provide` started; any other is left alone."""
    if not PID_FILE.exists():
        return
    pid, started = (int(word) for word in PID_FILE.read_text().split())
    PID_FILE.unlink()
    if _start_time(pid) != started:
        return
    say(f"stopping the dockerd it had started (pid {pid})")
    end = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGTERM)
        if not select.select([end], [], [], STOP_SECONDS)[0]:
            os.kill(pid, signal.SIGKILL)
    finally:
        os.close(end)


def _install() -> None:
    if find("dockerd") is None:
        apt.install("docker.io")
    if find("docker") is None:
        apt.install("docker-cli")  # a package of its own since Debian 13
    if find("iptables") is None:
        apt.install("iptables")


def _start() -> None:
    HOME.mkdir(parents=True, exist_ok=True)
    say(f"starting dockerd (log: {LOG})")
    with LOG.open("wb") as log:
        daemon = subprocess.Popen(
            ["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    PID_FILE.write_text(f"{daemon.pid} {_start_time(daemon.pid)}\n")
    deadline = time.monotonic() + START_SECONDS
    while answering() is None:  # the engine tells nobody that it is ready but by answering
        if daemon.poll() is not None or time.monotonic() > deadline:
            release()
            raise Missing(f"dockerd did not come up: {_last_words()}")
        time.sleep(0.1)


def _start_time(pid: int) -> int | None:
    """Clock ticks from boot to the start of `pid` (proc(5), stat field 22): the two name one process for good."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def _last_words() -> str:
    lines = LOG.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
