"""`python -m bench [--quick]`: start everybody, load them in turn, print the table, end everybody."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from . import classics, load, peers, report
from .processes import NotHere, await_answer, free_port, running

ROUNDS = 3
CONNECTIONS = (1, 32)
SECONDS, QUICK_SECONDS, WARM_UP_SECONDS = 5, 1, 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="composemesh beside Envoy, nginx and haproxy.")
    parser.add_argument("--quick", action="store_true", help="shorter rounds: a minute in all")
    parser.add_argument("--only", metavar="WORD", help="only the peers whose name has this word")
    parser.add_argument("--output", type=Path, default=Path("bench-results.json"), help="the figures as JSON")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, and so ends what was started, like Ctrl-C
    wanted = [peer for peer in peers.PEERS if not asked.only or asked.only.lower() in peer.name.lower()]
    try:
        rounds, left_out = run(wanted, QUICK_SECONDS if asked.quick else SECONDS)
    except KeyboardInterrupt:
        return 130
    except NotHere as missing:
        print(f"bench: {missing}", file=sys.stderr)
        return 1
    table = report.rows(rounds)
    report.show(table)
    report.save(asked.output, rounds, table, left_out)
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    return 0


def run(wanted: list[peers.Peer], seconds: int) -> tuple[list[report.Round], dict[str, str]]:
    """All rounds of all peers, interleaved: a slow minute of the machine then hits everybody alike."""
    left_out: dict[str, str] = {}
    rounds: list[report.Round] = []
    with tempfile.TemporaryDirectory(prefix="composemesh-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker gives up root and must still reach its folder
        origin = free_port()
        server = stack.enter_context(running("origin", classics.origin(folder, origin), folder))
        await_answer(origin, [server])
        started: list[peers.Started] = []
        for peer in wanted:
            try:
                started.append(stack.enter_context(peers.start(peer, folder, origin)))
            except NotHere as missing:
                left_out[peer.name] = str(missing)
        for peer in started:
            load.generate(peer.port, max(CONNECTIONS), WARM_UP_SECONDS, folder)
        for number in range(ROUNDS):
            for connections in CONNECTIONS:
                print(f"round {number + 1} of {ROUNDS}, {connections} connection(s)", file=sys.stderr, flush=True)
                rounds += [measure(peer, connections, seconds, folder) for peer in started]
    return rounds, left_out


def measure(peer: peers.Started, connections: int, seconds: int, folder: Path) -> report.Round:
    before = {program.name: program.cpu_seconds() for program in peer.programs}
    seen = load.generate(peer.port, connections, seconds, folder)
    cpu = {
        program.name: (program.cpu_seconds() - before[program.name]) * 1e6 / max(seen.requests, 1)
        for program in peer.programs
    }
    resident = sum(program.resident_bytes() for program in peer.programs)
    return report.Round(peer.name, connections, seen, cpu, resident)


sys.exit(main())
