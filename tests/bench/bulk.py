"""Load in opaque bytes, by iperf3: one connection that carries as much as it can, and one that controls it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .load import Load, program
from .processes import LOOPBACK


def origin(folder: Path, port: int) -> list[str]:
    """An iperf3 server: it takes the bytes and forgets them."""
    return [program("iperf3"), "--server", "--bind", LOOPBACK, "--port", str(port), "--forceflush"]


@contextmanager
def generate(port: int, connections: int, seconds: int, folder: Path) -> Iterator[Load]:
    """Send to `port` as fast as it takes. Raises NotHere without iperf3."""
    command = [*_client(port), "--time", str(seconds), "--parallel", str(connections), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    received = json.loads(done.stdout)["end"]["sum_received"]
    yield Load(received["bytes"], received["bits_per_second"] / 8)


def answers(port: int) -> bool:
    """Whether a small transfer succeeds. A mere connection would do harm: iperf3 takes it for a failed client."""
    return subprocess.run([*_client(port), "--bytes", "64K"], capture_output=True).returncode == 0


def _client(port: int) -> list[str]:
    return [program("iperf3"), "--client", LOOPBACK, "--port", str(port)]
