"""Load in HTTP/1.1, by wrk: as fast as it is answered, over connections that are kept or made anew each time."""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .http2 import h2load
from .load import Generate, Load, program
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

BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.5",
    "Accept-Encoding: gzip, deflate",
    "Cookie: session=eyJ1c2VyIjoiamFzb24ifQ.Zz0q1w.yG5mB0Xh4nT8",
    "X-Request-Id: 0b6a1b5e-3f3a-4d0e-9c1c-0b3f8d5a2a11",
    "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "End-User: jason",
    "Cache-Control: max-age=0",
)
"""With the Host field, ten: a browser's, and what a mesh adds."""


def asking(path: str = "", fields: int = 1, *, keep: bool = True, scheme: str = "http", host: str = "") -> Generate:
    """GETs of `path` with so many header fields, Host included. Without `keep`, each over a connection of its own.
    `host`: whom they name; else the address that they go to."""
    more = [*BROWSER, *(f"X-Field-{number}: the value of field {number}" for number in range(len(BROWSER) + 1, 64))]
    lines = [*more[: fields - 1], *([] if keep else ["Connection: close"]), *([f"Host: {host}"] if host else [])]
    options = [word for line in lines for word in ("-H", line)]

    @contextmanager
    def generate(port: int, connections: int, seconds: int, folder: Path) -> Iterator[Load]:
        yield _wrk(port, path, connections, seconds, folder, options, scheme)

    return generate


def until(requests: int) -> Generate:
    """As `asking` until so many have been answered, however long that takes."""

    @contextmanager
    def generate(port: int, connections: int, seconds: int, folder: Path) -> Iterator[Load]:
        amount = errors = rounds = 0
        rate = 0.0
        while amount < requests:
            seen = _wrk(port, "", connections, 2, folder, [])
            amount, errors, rounds = amount + seen.amount, errors + seen.errors, rounds + 1
            rate += (seen.per_second - rate) / rounds
        yield Load(amount, rate, errors=errors)

    return generate


@contextmanager
def half(port: int, connections: int, seconds: int, folder: Path) -> Iterator[Load]:
    """Find out how much `port` can answer, then ask it half of that, evenly. Raises NotHere without h2load."""
    url = f"http://{LOOPBACK}:{port}/"
    most = h2load(url, connections, 1, folder, "--h1").per_second
    yield h2load(url, connections, seconds, folder, "--h1", f"--rps={most / 2 / connections:.0f}")


def answers(port: int) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def answers_encrypted(port: int) -> bool:
    """The same by HTTPS, of whatever certificate; the origin behind, which has none, may answer in clear."""
    anybody = ssl.create_default_context()
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(f"https://{LOOPBACK}:{port}/", timeout=1, context=anybody) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return answers(port)


def _wrk(
    port: int, path: str, connections: int, seconds: int, folder: Path, options: list[str], scheme: str = "http"
) -> Load:
    """What wrk saw. Raises NotHere without it."""
    script = folder / "report.lua"
    script.write_text(REPORT)
    command = [program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), *options]
    url = f"{scheme}://{LOOPBACK}:{port}/{path}"
    done = subprocess.run([*command, url], capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    per_second = seen["requests"] / (seen["microseconds"] / 1e6)
    return Load(seen["requests"], per_second, seen["p50"], seen["p99"], seen["errors"])
