"""The rounds of a run: everybody started at once, loaded in turn, weighed before and after."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from . import classics, load, peers, report
from .processes import NotHere, await_answer, free_port, running

ROUNDS = 3
CONNECTIONS = (1, 32)
WARM_UP_SECONDS = 1


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
