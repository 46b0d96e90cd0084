"""Load in HTTP/2 with prior knowledge, by h2load against nghttpd: small answers, and the frames of unary gRPC calls.

A call of ours is what one of gRPC is on the wire: a POST with a message of 105 bytes, of which five are gRPC's own,
answered by a head, a message of the same size and trailers with the status. What it says is nobody's concern here.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

from .load import Load, program
from .processes import LOOPBACK

STREAMS = 10
"""Requests under way at a time on each connection."""
PAGE, MESSAGE = "page", "message"
MESSAGE_BYTES = 5 + 100
AT_A_TIME = (f"-m{STREAMS}",)
GRPC = ("-H", "content-type: application/grpc", "-H", "te: trailers")

_FIGURES = re.compile(
    r"finished in .*?, (?P<rate>[\d.]+) req/s.*?, (?P<good>\d+) succeeded, (?P<failed>\d+) failed", re.DOTALL
)


def origin(folder: Path, port: int) -> list[str]:
    """nghttpd with one worker: a page of 36 bytes."""
    return [*_server(folder), str(port)]


def grpc_origin(folder: Path, port: int) -> list[str]:
    """The same, with a message and a status."""
    return [*_server(folder), "--trailer", "grpc-status: 0", str(port)]


@contextmanager
def generate(port: int, connections: int, seconds: int, folder: Path) -> Iterator[Load]:
    """Ask `port` as fast as it answers, STREAMS requests at a time on each connection. Raises NotHere."""
    yield h2load(_url(port, PAGE), connections, seconds, folder, *AT_A_TIME)


@contextmanager
def call(port: int, connections: int, seconds: int, folder: Path) -> Iterator[Load]:
    """As `generate`, with calls."""
    message = ("-d", str(folder / MESSAGE), *GRPC)
    yield h2load(_url(port, MESSAGE), connections, seconds, folder, *AT_A_TIME, *message)


def answers(port: int) -> bool:
    """Whether an HTTP/2 request is answered with 200. Raises NotHere without h2load."""
    command = [program("h2load"), "-n1", "-c1", "-T1s", "-N1s", _url(port, PAGE)]
    done = subprocess.run(command, capture_output=True, text=True)
    return " 1 succeeded" in done.stdout and " 1 2xx" in done.stdout


def _server(folder: Path) -> list[str]:
    root = folder / "root"
    root.mkdir(exist_ok=True)
    (root / PAGE).write_text("Hello version: v1, instance: origin\n")
    for place in (root, folder):
        (place / MESSAGE).write_bytes(MESSAGE_BYTES * b"\0")
    return [program("nghttpd"), "--no-tls", "-a", LOOPBACK, "-d", str(root)]


def h2load(url: str, connections: int, seconds: int, folder: Path, *options: str) -> Load:
    """What h2load saw. Raises NotHere without it."""
    log = folder / "h2load.log"
    log.unlink(missing_ok=True)  # h2load appends
    command = [program("h2load"), f"-c{connections}", f"-D{seconds}", f"--log-file={log}"]
    done = subprocess.run([*command, *options, url], capture_output=True, text=True, check=True)
    said = _FIGURES.search(done.stdout)
    assert said is not None, f"h2load said something new: {done.stdout}"
    latencies = [int(line.rsplit("\t", 1)[1]) for line in log.read_text().splitlines()]
    cuts = quantiles(latencies, n=100)
    return Load(int(said["good"]), float(said["rate"]), cuts[49], cuts[98], int(said["failed"]))


def _url(port: int, path: str) -> str:
    return f"http://{LOOPBACK}:{port}/{path}"
