"""`python3 -m environment provide | release | image | compose LINE | bench | peers`, with `tests` on PYTHONPATH."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from . import compose, engine, python_image, tools
from .folder import Missing, say

PARTS: dict[str, Callable[[], object]] = {
    "Docker engine": engine.provide,
    "Docker Compose": compose.provide,
    "Python image": python_image.provide,
    "network namespace tools": tools.netns_tools,
    "Prometheus": tools.prometheus,
    "curl and nghttpd": tools.clients,
    "nginx, Node and Envoy": tools.parsers,
    "Chromium": tools.browser,
}
NEEDS = {"Python image": "Docker engine"}


def provide() -> int:
    """Provide part by part and say of each what there is, or what will be skipped for want of it."""
    lacking: set[str] = set()
    for part, give in PARTS.items():
        try:
            if NEEDS.get(part) in lacking:
                raise Missing(f"needs the {NEEDS[part]}")
            there = give()
        except Missing as missing:
            lacking.add(part)
            say(f"{part}: MISSING, tests that need it are skipped: {missing}")
        else:
            say(f"{part}: {there or 'here'}")
    return 1 if lacking and os.environ.get("COMPOSEMESH_REQUIRE_DOCKER") == "1" else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="environment", description="What the real tests need from this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("provide", help="engine, Compose, image and tools; says what is missing")
    commands.add_parser("release", help="stop the engine if it was started here")
    commands.add_parser("image", help="print the name of the Python image, made if need be")
    commands.add_parser("bench", help="install nginx, haproxy, wrk, h2load, nghttpd and iperf3")
    commands.add_parser("peers", help="install the clients and servers that `make peers` tries")
    commands.add_parser("compose", help="print the path of a Compose plugin").add_argument(
        "line", choices=compose.SUITES
    )
    asked = parser.parse_args()
    try:
        match asked.command:
            case "provide":
                return provide()
            case "release":
                engine.release()
            case "image":
                print(python_image.provide())
            case "bench":
                tools.bench_peers()
            case "peers":
                tools.clients()
                tools.parsers()
                tools.other_peers()
            case "compose":
                print(compose.cached(asked.line))
    except Missing as missing:
        say(str(missing))
        return 1
    return 0


sys.exit(main())
