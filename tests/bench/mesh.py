"""composemesh as one of the peers: the real request path, all telemetry on, in a process of its own.

`python -m bench.mesh --listen PORT --origin PORT` listens on the loopback and forwards to the origin through a mesh
that has captured one caller and one callee; with `--tcp` the origin's port is declared to speak TCP, with `--ruled`
requests meet rules. With `--frozen` the collector passes over what the start made, as in a mesh that users start. It
serves until it is told to end.
"""

from __future__ import annotations

import argparse
import gc
import socket
import sys
from pathlib import Path

import trio

from composemesh.model.route import (
    Destination,
    HeaderChange,
    Headers,
    HttpMatch,
    HttpRule,
    MatchKind,
    StringMatch,
    VirtualHost,
    WeightedDestination,
)
from composemesh.model.snapshot import Protocol, ServiceSettings, Snapshot
from composemesh.model.workload import Attachment, Discovered, Workload
from composemesh.proxy.fleet import Fleet
from composemesh.runtime.captured import Captured, Captures
from composemesh.runtime.latest import Latest
from composemesh.telemetry.hub import Hub

from .processes import NotHere

COMPILED = Path(".compiled/bin/python")
"""The interpreter of `make test-compiled`, which has the wheel installed."""


RULES = (
    HttpRule(
        (HttpMatch(headers={"end-user": StringMatch(MatchKind.EXACT, "jason")}),),
        (WeightedDestination(Destination("callee")),),
        name="jason",
    ),
    HttpRule(
        destinations=(WeightedDestination(Destination("callee"), 90), WeightedDestination(Destination("callee"), 10)),
        headers=Headers(response=HeaderChange(set=(("x-split", "yes"),))),
        name="the rest",
    ),
)
"""What many have: a match that does not hold, a split, a header that is set."""


def command(port: int, origin: int, *, tcp: bool = False, ruled: bool = False, compiled: bool = False) -> list[str]:
    """Raises NotHere where the wheel is asked for and was not built."""
    if compiled and not COMPILED.exists():
        raise NotHere("no wheel is installed in .compiled/ (`make test-compiled` does)")
    # -P: the checkout in the working directory must not come before the wheel.
    python = [str(COMPILED), "-P"] if compiled else [sys.executable]
    more = [*(["--tcp"] if tcp else []), *(["--ruled"] if ruled else [])]
    return [*python, "-m", "bench.mesh", "--listen", str(port), "--origin", str(origin), *more]


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.mesh")
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--origin", type=int, required=True)
    parser.add_argument("--tcp", action="store_true")
    parser.add_argument("--ruled", action="store_true")
    parser.add_argument("--frozen", action="store_true")
    arguments = parser.parse_args()
    if arguments.frozen:
        gc.freeze()
    protocol = Protocol.TCP if arguments.tcp else Protocol.AUTO
    trio.run(serve, arguments.listen, arguments.origin, protocol, RULES if arguments.ruled else ())


async def serve(port: int, origin: int, protocol: Protocol, rules: tuple[HttpRule, ...]) -> None:
    """A caller and a callee on the loopback, as capture would hand them over."""
    caller = Workload("caller", "caller-1", "caller", "now", 1, (Attachment("net", "net", ("127.0.0.3",)),))
    callee = Workload("callee", "callee-1", "callee", "now", 1, (Attachment("net", "net", ("127.0.0.1",)),))
    front = _captured(caller, outbound=(_listener(port),), destination=("127.0.0.1", origin))
    back = _captured(callee, outbound=(), destination=("127.0.0.1", origin))
    captures = Captures({caller.life: front, callee.life: back})
    hosts = (VirtualHost(("callee",), http=rules),) if rules else ()
    services = {"callee": ServiceSettings("callee", ports={origin: protocol})}
    snapshot = Snapshot("bench", services=services, virtual_hosts=hosts)
    fleet = Fleet(Latest(Discovered((caller, callee))), Latest(snapshot), Latest(captures), Hub())
    await fleet.run()


class _Loopback:
    def socket(self, family: int) -> socket.socket:
        sock = socket.socket(family)
        sock.setblocking(False)
        return sock


def _captured(workload: Workload, *, outbound: tuple[socket.socket, ...], destination: tuple[str, int]) -> Captured:
    return Captured(
        workload, _Loopback(), (), outbound, lambda sock: destination, lambda: frozenset({destination[1]})
    )


def _listener(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen(1024)
    sock.setblocking(False)
    return sock


if __name__ == "__main__":
    main()
