"""composemesh as one of the peers: the real request path, all telemetry on, in a process of its own.

`python -m bench.mesh --listen PORT --origin PORT` listens on the loopback and forwards to the origin through a mesh
that has captured one caller and one callee. It serves until it is told to end.
"""

from __future__ import annotations

import argparse
import sys


def command(port: int, origin: int) -> list[str]:
    return [sys.executable, "-m", "bench.mesh", "--listen", str(port), "--origin", str(origin)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.mesh")
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--origin", type=int, required=True)
    parser.parse_args()
    sys.exit("the proxy is not wired to the benchmark yet")


if __name__ == "__main__":
    main()
