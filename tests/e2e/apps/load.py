"""A caller inside the mesh: asks at a steady rate, over connections that it keeps, and prints what became of each.

python3 load.py URL --rate 150 --seconds 8      one JSON object a request: start, ms, status, flag, body

It ends before that once there is a file ENOUGH.
"""

from __future__ import annotations

import argparse
import http.client
import json
import queue
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Work = queue.Queue[float | None]

ENOUGH = Path("/tmp/enough")


def worker(url: str, work: Work, results: list[dict[str, Any]]) -> None:
    parts = urlsplit(url)
    connection: http.client.HTTPConnection | None = None
    while (start := work.get()) is not None:
        time.sleep(max(0.0, start - time.time()))
        began = time.time()
        try:
            if connection is None:
                connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=10)
            connection.request("GET", parts.path or "/")
            answer = connection.getresponse()
            body = answer.read().decode()
            said: dict[str, Any] = {
                "status": answer.status,
                "flag": answer.headers.get("x-composemesh-flag"),
                "body": body[:100],
            }
            if answer.will_close:
                connection = None
        except (OSError, http.client.HTTPException) as problem:
            said = {"status": 0, "flag": None, "body": repr(problem)}
            connection = None
        results.append({"start": began, "ms": (time.time() - began) * 1000, **said})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=150)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--connections", type=int, default=8)
    options = parser.parse_args()
    work: Work = queue.Queue()
    results: list[dict[str, Any]] = []
    threads = [threading.Thread(target=worker, args=(options.url, work, results)) for _ in range(options.connections)]
    for thread in threads:
        thread.start()
    first = time.time() + 0.1
    for number in range(int(options.rate * options.seconds)):
        start = first + number / options.rate
        time.sleep(max(0.0, start - time.time() - 0.05))
        if ENOUGH.exists():
            break
        work.put(start)
    for _ in threads:
        work.put(None)
    for thread in threads:
        thread.join()
    for result in sorted(results, key=lambda each: each["start"]):
        print(json.dumps(result))


if __name__ == "__main__":
    main()
