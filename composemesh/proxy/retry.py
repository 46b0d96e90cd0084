"""May a request be sent again? Pure: facts in, yes or no out.

The default policy is Istio's in spirit (two more tries; connect failures always), and one step further: a *safe*
request whose connection broke before a byte of the answer came is tried again too, because losing a replica should
not lose its readers. A request that may have changed something is never sent twice on a guess.
"""

from __future__ import annotations

RETRIES = 2
"""Tries after the first (Istio's default of `retries.attempts`)."""

SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE"})
"""Methods that change nothing (RFC 9110, 9.2.1)."""


def may_retry(method: bytes, *, attempt: int, untried: bool, body_replayable: bool, connected: bool) -> bool:
    """Whether attempt number `attempt` (the first is 1), which just failed, may be followed by another.

    `untried`: there is an endpoint that this request has not met. `connected`: a connection stood and may have
    carried the request. `body_replayable`: nothing of the body was taken from the client that could not be sent
    again.
    """
    if not connected:
        return untried or attempt <= RETRIES
    return body_replayable and method in SAFE and attempt <= RETRIES
