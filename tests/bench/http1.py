"""Load in HTTP/1.1, by wrk: small answers over connections that are kept."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from .load import Load, program
from .processes import LOOPBACK

# wrk's own summary rounds and changes units; its Lua side knows the numbers. Latencies are in microseconds.
REPORT = """
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('\\n{"requests": %d, "microseconds": %d, "p50": %f, "p99": %f, "errors": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def generate(port: int, connections: int, seconds: int, folder: Path) -> Load:
    """Ask `port` as fast as it answers on `connections` kept-alive connections. Raises NotHere without wrk."""
    script = folder / "report.lua"
    script.write_text(REPORT)
    url = f"http://{LOOPBACK}:{port}/"
    command = [program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    per_second = seen["requests"] / (seen["microseconds"] / 1e6)
    return Load(seen["requests"], per_second, seen["p50"], seen["p99"], seen["errors"])


def answers(port: int) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
