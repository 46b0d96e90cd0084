"""`python -m bench [--quick]`: load everybody, weigh a real stack, print the table."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from . import configuration, figures, report, rounds, stack
from .contests import CONTESTS
from .processes import NotHere


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="composemesh beside Envoy, nginx and haproxy.")
    parser.add_argument("--quick", action="store_true", help="fewer contests, rounds and seconds: about a minute")
    parser.add_argument("--contest", metavar="WORD", default="", help="only the contests whose name has this word")
    parser.add_argument("--only", metavar="WORD", default="", help="only the peers whose name has this word")
    parser.add_argument("--no-stack", action="store_true", help="leave out the real stack of 20 services")
    parser.add_argument("--output", type=Path, default=Path("bench-results.json"), help="the figures as JSON")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, and so ends what was started, like Ctrl-C
    try:
        bench(asked)
    except NotHere as missing:
        print(f"bench: {missing}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def bench(asked: argparse.Namespace) -> None:
    seen: list[figures.Round] = []
    left_out: dict[str, str] = {}
    for contest in CONTESTS:
        wanted = [peer for peer in contest.peers if asked.only.lower() in peer.name.lower()]
        if asked.quick and not contest.quick:
            continue
        if not wanted or asked.contest.lower() not in contest.name.lower():
            continue
        try:
            seen += rounds.run(contest, wanted, asked.quick, left_out)
        except NotHere as missing:
            left_out[contest.name] = str(missing)
    weighed = None if asked.no_stack or asked.quick else weigh_stack(left_out)
    table = figures.rows(seen)
    report.show(table, weighed)
    report.save(asked.output, seen, table, weighed, left_out)
    if not asked.only and not asked.contest:
        configuration.show(configuration.measure())
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")


def weigh_stack(left_out: dict[str, str]) -> stack.Figures | None:
    with tempfile.TemporaryDirectory(prefix="composemesh-bench-") as folder:
        try:
            return stack.measure(Path(folder))
        except NotHere as missing:
            left_out[f"stack of {stack.SERVICES} services"] = str(missing)
            return None


sys.exit(main())
