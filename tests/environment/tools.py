"""Programs of other projects that tests and benchmarks ask: checkers, load generators, peers."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from . import apt
from .folder import HOME

TOOLS = HOME / "tools"
BENCH_PACKAGES = ("haproxy", "nghttp2-client", "nginx-light", "wrk")
SYSTEM_PROGRAMS = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


def find(program: str) -> Path | None:
    """Where `program` is: on PATH, among the system's programs, or fetched earlier by this module."""
    found = shutil.which(program, path=os.pathsep.join((SYSTEM_PROGRAMS, str(TOOLS))))
    return Path(found) if found else None


def promtool() -> Path:
    """Prometheus's own checker of metrics, fetched without root or the server it comes with. Raises Missing."""
    if (found := find("promtool")) is not None:
        return found
    suite = platform.freedesktop_os_release().get("VERSION_CODENAME", "stable")
    unpacked = apt.fetch("prometheus", suite, HOME / "promtool.unpacking")
    TOOLS.mkdir(parents=True, exist_ok=True)
    (unpacked / "usr/bin/promtool").replace(TOOLS / "promtool")
    shutil.rmtree(unpacked)
    return TOOLS / "promtool"


def bench_peers() -> None:
    """nginx, haproxy, wrk and h2load. Raises Missing."""
    if any(find(program) is None for program in ("nginx", "haproxy", "wrk", "h2load")):
        apt.install(*BENCH_PACKAGES)


def netns_tools() -> None:
    """`ip` and `iptables`, for the tests that build their own network namespaces. Raises Missing."""
    if any(find(program) is None for program in ("ip", "iptables-restore")):
        apt.install("iproute2", "iptables")
