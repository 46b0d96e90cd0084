"""The rounds of a contest: everybody started at once, loaded in turn, weighed before and after."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from . import peers, report
from .contests import Contest
from .processes import NotHere, await_answer, free_port, running

ROUNDS, QUICK_ROUNDS = 3, 2
WARM_UP_SECONDS = 1


def run(contest: Contest, wanted: list[peers.Peer], quick: bool, left_out: dict[str, str]) -> list[report.Round]:
    """All rounds of all peers, interleaved: a slow minute of the machine then hits everybody alike.

    Who cannot take part is `left_out`, with the reason. Raises NotHere when nobody can.
    """
    times, seconds = (QUICK_ROUNDS, contest.quick_seconds) if quick else (ROUNDS, contest.seconds)
    rounds: list[report.Round] = []
    with tempfile.TemporaryDirectory(prefix="composemesh-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker gives up root and must still reach its folder
        origin = free_port()
        server = stack.enter_context(running("origin", contest.origin(folder, origin), folder))
        await_answer(origin, [server], contest.answers)
        started: list[peers.Started] = []
        for peer in wanted:
            try:
                started.append(stack.enter_context(peers.start(peer, folder, origin, contest.answers)))
            except NotHere as missing:
                left_out[f"{contest.name}: {peer.name}"] = str(missing)
        for one in started:
            contest.generate(one.port, max(contest.connections), WARM_UP_SECONDS, folder)
        for number in range(times):
            print(f"{contest.name}: round {number + 1} of {times}", file=sys.stderr, flush=True)
            for connections in contest.connections:
                rounds += [measure(contest, one, connections, seconds, folder) for one in started]
    return rounds


def measure(contest: Contest, peer: peers.Started, connections: int, seconds: int, folder: Path) -> report.Round:
    before = {program.name: program.cpu_seconds() for program in peer.programs}
    seen = contest.generate(peer.port, connections, seconds, folder)
    cpu = {program.name: program.cpu_seconds() - before[program.name] for program in peer.programs}
    resident = sum(program.resident_bytes() for program in peer.programs)
    return report.Round(contest.name, peer.name, connections, seen, cpu, resident)
