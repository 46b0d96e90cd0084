"""Time for a whole request, retries included; counted, as in Envoy, from when the caller has sent all of it.

A tunnel, once it is open, takes as long as it takes.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio

from composemesh.model.flag import Flag
from composemesh.proxy.answer import opens_tunnel
from composemesh.proxy.refuse import Cut, Refused

if TYPE_CHECKING:
    from composemesh.proxy.codec.parts import Fields
    from composemesh.proxy.exchange import Course, Exchange


async def within(seconds: float, x: Exchange, course: Course, forward: Callable[[], Awaitable[None]]) -> None:
    """Have the request answered in that time. Raises Refused, or Cut where an answer had begun."""
    scope = trio.CancelScope(deadline=trio.current_time() + seconds if x.whole else math.inf)

    def heard(payload: bytes) -> None:
        if not payload:
            scope.deadline = trio.current_time() + seconds

    def answered(fields: Fields) -> Fields:
        if opens_tunnel(x.head.method, x.record.response_code):
            scope.deadline = math.inf
        return fields

    if not x.whole:
        course.on_body.append(heard)
    course.on_response.append(answered)
    with scope:
        await forward()
        return
    if x.tries is not None:
        x.tries.timed_out()
    if x.answered:
        raise Cut(Flag.UPSTREAM_REQUEST_TIMEOUT)
    raise Refused(Flag.UPSTREAM_REQUEST_TIMEOUT)
