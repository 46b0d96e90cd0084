"""May a request be sent again, and when? Pure: facts in, yes or no out.

Where a rule has `retries`, Envoy's conditions decide, word by word. Where none does, the default is Istio's in spirit
(two more tries; connect failures always), and one step further: a *safe* request whose connection broke before a byte
of the answer came is tried again too, because losing a replica should not lose its readers. A request that may have
changed something is never sent twice on a guess.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from composemesh.model.policy import Retry

RETRIES: Final = 2
"""Tries after the first (Istio's default of `retries.attempts`)."""

SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE"})
"""Methods that change nothing (RFC 9110, 9.2.1)."""
LONGEST_WAIT: Final = 10
"""Times the base that no back-off exceeds (Envoy's default of retry_back_off.max_interval)."""


def may_retry(method: bytes, *, attempt: int, untried: bool, body_replayable: bool, connected: bool) -> bool:
    """The default: whether attempt number `attempt` (the first is 1), which just failed, may be followed by another.

    `untried`: there is an endpoint that this request has not met. `connected`: a connection stood and may have
    carried the request. `body_replayable`: nothing of the body was taken from the client that could not be sent
    again.
    """
    if not connected:
        return body_replayable and (untried or attempt <= RETRIES)
    return body_replayable and method in SAFE and attempt <= RETRIES


# === conditions (x-envoy-retry-on, x-envoy-retry-grpc-on) ===


class Answered:
    """The head of an answer, as far as it matters."""

    __slots__ = ("grpc_status", "rate_limited", "status")

    def __init__(self, status: int, grpc_status: int = -1, *, rate_limited: bool = False) -> None:
        self.status = status
        self.grpc_status = grpc_status
        """Where the head has it; what trailers say comes too late. -1 for none."""
        self.rate_limited = rate_limited
        """Whether it has `x-envoy-ratelimited`."""


class Unanswered:
    """A try that ended without one: the connection broke or never was, or the try's time was up."""

    __slots__ = ("connected", "unsent")

    def __init__(self, *, connected: bool, unsent: bool = False) -> None:
        self.connected = connected
        self.unsent = unsent
        """Whether the request certainly was not carried out: nothing of it got through, or it was refused unseen."""


def _grpc(status: int) -> Callable[[Answered], bool]:
    return lambda answer: answer.grpc_status == status


ON_ANSWER: Final[dict[str, Callable[[Answered], bool]]] = {
    "5xx": lambda answer: 500 <= answer.status < 600,
    "gateway-error": lambda answer: 502 <= answer.status <= 504,
    "retriable-4xx": lambda answer: answer.status == 409,
    "cancelled": _grpc(1),
    "deadline-exceeded": _grpc(4),
    "resource-exhausted": _grpc(8),
    "internal": _grpc(13),
    "unavailable": _grpc(14),
}
"""Conditions that an answer can meet. `retriable-status-codes` is what `Retry.statuses` lists."""
ON_NO_ANSWER: Final[dict[str, Callable[[Unanswered], bool]]] = {
    "5xx": lambda _: True,
    "gateway-error": lambda _: True,
    "reset": lambda _: True,
    "reset-before-request": lambda end: end.unsent or not end.connected,
    "refused-stream": lambda end: end.unsent,
    "connect-failure": lambda end: not end.connected,
}
"""Conditions that the lack of one can meet."""
RATE_LIMITED: Final = "envoy-ratelimited"
"""The only condition by which an answer is tried again that says that the callee wants fewer requests."""


def wants_another(retry: Retry, end: Answered | Unanswered) -> bool:
    """Whether one of the rule's conditions asks for another try, after a try that ended in this way."""
    if isinstance(end, Unanswered):
        return any(word in retry.on and holds(end) for word, holds in ON_NO_ANSWER.items())
    if end.rate_limited:
        return RATE_LIMITED in retry.on
    if end.status in retry.statuses:
        return True
    return any(word in retry.on and holds(end) for word, holds in ON_ANSWER.items())


def back_off(retry: Retry, number: int, draw: float) -> float:
    """Seconds before retry `number` (the first is 1); `draw` is from 0 up to 1. Envoy's: jittered all the way down,
    so that a thousand callers that failed together do not come back together."""
    return float(draw * retry.back_off * min(2**number - 1, LONGEST_WAIT))
