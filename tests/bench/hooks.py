"""What filters cost that do nothing: `PYTHONPATH=tests python -m bench.hooks`.

Too little to be seen in a request's CPU time, which a busy machine moves by more. So the hooks alone are called, many
times, with the process's own clock; what a request costs on the same machine, `python -m bench` says.
"""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

from composemesh.model.filter import FilterUse
from composemesh.model.peer import UNKNOWN
from composemesh.model.record import Record
from composemesh.proxy.chain.hooks import Chain, Stage
from composemesh.proxy.cluster import Cluster, Spoken
from composemesh.proxy.codec.h1 import parse_request, parse_response
from composemesh.proxy.codec.parts import LIMITS
from composemesh.proxy.exchange import Downstream, Exchange

CALLS, ROUNDS = 50_000, 9
REQUEST = b"GET /reviews/0 HTTP/1.1\r\nHost: reviews:9080\r\nUser-Agent: bench\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\n"


def idle(*names: str) -> type:
    """A filter with these hooks, none of which does anything."""
    return type("Idle", (), dict.fromkeys(names, lambda self, x: None))


def nanoseconds(work: Callable[[], None]) -> float:
    """Of one call; the best of several rounds."""
    return min(timeit.repeat(work, number=CALLS, repeat=ROUNDS, timer=time.process_time)) / CALLS * 1e9


def cost(*filters: type) -> float:
    """Nanoseconds that a request pays for a place with these filters, beyond one without any."""
    chain = Chain([Stage("", FilterUse("idle"), each) for each in filters]) if filters else None
    head, answer = parse_request(REQUEST, LIMITS), parse_response(ANSWER, b"GET", LIMITS)
    x = Exchange(head, Record(UNKNOWN, UNKNOWN, "http"), Cluster("reviews", (), Spoken()), b"", True, 9080)

    down = cast("Downstream", SimpleNamespace(peer_text="127.0.0.1"))

    def work() -> None:
        x.view = None
        if chain is not None:
            chain.enter(x, down)
        if x.view is not None:
            x.view.answered(answer, answer.fields)

    return nanoseconds(work)


def main() -> None:
    none = cost()
    for what, filters in {
        "on_request": [idle("on_request")],
        "on_response": [idle("on_response")],
        "on_request and on_response": [idle("on_request", "on_response")],
        "both, of five filters": [idle("on_request", "on_response")] * 5,
    }.items():
        print(f"{what:30} {cost(*filters) - none:6.0f} ns")


if __name__ == "__main__":
    main()
