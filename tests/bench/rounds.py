"""The rounds of a contest: everybody started at once, loaded in turn, weighed before and after."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from . import peers
from .contests import Contest
from .figures import Round
from .processes import NotHere, await_answer, free_port, running

QUICK_ROUNDS, QUICK_SECONDS = 2, 1
WARM_UP_SECONDS = 1


def run(contest: Contest, wanted: list[peers.Peer], quick: bool, left_out: dict[str, str]) -> list[Round]:
    """All rounds of all peers, interleaved: a slow minute of the machine then hits everybody alike.

    Who cannot take part is `left_out`, with the reason. Raises NotHere when nobody can.
    """
    times = min(contest.rounds, QUICK_ROUNDS) if quick else contest.rounds
    seconds = min(contest.seconds, QUICK_SECONDS) if quick else contest.seconds
    connections = contest.quick if quick else contest.connections
    rounds: list[Round] = []
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
        for one in started if contest.warm_up else ():
            with contest.generate(one.port, max(connections), WARM_UP_SECONDS, folder):
                pass
        for number in range(times):
            print(f"{contest.name}: round {number + 1} of {times}", file=sys.stderr, flush=True)
            for count in connections:
                rounds += [measure(contest, one, count, seconds, folder) for one in started]
    return rounds


def measure(contest: Contest, peer: peers.Started, connections: int, seconds: int, folder: Path) -> Round:
    before = {program.name: program.cpu_seconds() for program in peer.programs}
    weight = sum(program.resident_bytes() for program in peer.programs)
    with contest.generate(peer.port, connections, seconds, folder) as seen:
        cpu = {program.name: program.cpu_seconds() - before[program.name] for program in peer.programs}
        resident = sum(program.resident_bytes() for program in peer.programs)
    return Round(contest.name, peer.name, connections, seen, cpu, resident, resident - weight)
