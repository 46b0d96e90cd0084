"""caller: asks for http://helloworld:5000/hello once a second and prints what it hears."""

from __future__ import annotations

import os
import signal
import sys
import time
from urllib.request import urlopen

URL = os.environ.get("HELLOWORLD_URL", "http://helloworld:5000/hello")
INTERVAL = float(os.environ.get("INTERVAL", "1"))

if __name__ == "__main__":
    # Process 1 of a container gets no default action for a signal: without a handler SIGTERM would do nothing.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        try:
            with urlopen(URL, timeout=5) as answer:
                print(answer.read().decode().strip(), flush=True)
        except OSError as problem:
            print(f"no answer: {problem}", flush=True)
        time.sleep(INTERVAL)
