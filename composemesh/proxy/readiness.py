"""When a new endpoint may be sent something: as soon as it listens, seen from outside without touching it.

A container's start event comes well before its application accepts connections. Callers who are sent there in
between meet refusals, so a new endpoint waits in the second row until its port is in LISTEN state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from composemesh.model.workload import Kind

if TYPE_CHECKING:
    from composemesh.proxy.cluster import Endpoint, Spoken

POLL = 0.02
"""Seconds between looks at the kernel's socket table; a look costs well under a millisecond."""
PATIENCE = 60.0
"""Seconds after which an endpoint that never listened counts as ready: perhaps it only calls others."""


def listens(endpoint: Endpoint, spoken: Spoken | None) -> bool:
    """Whether the endpoint listens on every port that callers of its service have used, or, if none yet, on any."""
    if endpoint.workload.kind is Kind.FOUND:
        return True  # its source asks it
    if endpoint.captured is None:
        return not endpoint.pending  # nobody can look inside
    listening = endpoint.captured.listening()
    if endpoint.workload.kind is Kind.PROCESS:
        return bool(listening)  # it has one port, whichever its callers name
    asked = frozenset(spoken.learned) | frozenset(spoken.declared) if spoken is not None else frozenset()
    return asked <= listening if asked else bool(listening)


async def await_listening(endpoint: Endpoint, spoken: Callable[[], Spoken | None], gone: Callable[[], bool]) -> None:
    """Return once the endpoint is ready, or gone. Safe to cancel."""
    with trio.move_on_after(PATIENCE):
        while not gone() and not listens(endpoint, spoken()):  # noqa: ASYNC110 - the kernel tells nobody
            await trio.sleep(POLL)
    endpoint.ready = True
