"""One round of load on one port, by wrk, and what it saw."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from environment.tools import find

from .processes import LOOPBACK, NotHere

# wrk's own summary rounds and changes units; its Lua side knows the numbers. Latencies are in microseconds.
REPORT = """
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('\\n{"requests": %d, "microseconds": %d, "p50": %f, "p99": %f, "errors": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """What the client side saw in one round; latencies in microseconds."""

    requests: int
    per_second: float
    p50: float
    p99: float
    errors: int


def generate(port: int, connections: int, seconds: int, folder: Path) -> Load:
    """Ask `port` as fast as it answers on `connections` kept-alive connections. Raises NotHere without wrk."""
    wrk = find("wrk")
    if wrk is None:
        raise NotHere("wrk is not installed, and without it nothing can be measured")
    script = folder / "report.lua"
    script.write_text(REPORT)
    url = f"http://{LOOPBACK}:{port}/"
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script, url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    per_second = seen["requests"] / (seen["microseconds"] / 1e6)
    return Load(seen["requests"], per_second, seen["p50"], seen["p99"], seen["errors"])
