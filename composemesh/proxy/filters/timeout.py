"""Time for a whole request, retries included; counted, as in Envoy, from when the caller has sent all of it.

A tunnel, once it is open, takes as long as it takes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio

from composemesh.model.flag import Flag
from composemesh.proxy.answer import opens_tunnel
from composemesh.proxy.refuse import Cut, Refused

if TYPE_CHECKING:
    from composemesh.proxy.alarm import Alarms
    from composemesh.proxy.codec.parts import Fields
    from composemesh.proxy.exchange import Course, Exchange


async def within(
    seconds: float, x: Exchange, course: Course, alarms: Alarms, forward: Callable[[], Awaitable[None]]
) -> None:
    """Have the request answered in that time. Raises Refused, or Cut where an answer had begun."""
    scope = trio.CancelScope()
    alarm = alarms.set(seconds, scope.cancel) if x.whole else None

    def heard(payload: bytes) -> None:
        nonlocal alarm
        if not payload:
            alarm = alarms.set(seconds, scope.cancel)

    def answered(fields: Fields) -> Fields:
        if opens_tunnel(x.head.method, x.record.response_code):
            if alarm is not None:
                alarm.off()
            elif heard in course.on_body:
                course.on_body.remove(heard)
        return fields

    if not x.whole:
        course.on_body.append(heard)
    course.on_response.append(answered)
    try:
        with scope:
            await forward()
            return
    finally:
        if alarm is not None:
            alarm.off()
    if x.tries is not None:
        x.tries.timed_out()
    if x.answered:
        raise Cut(Flag.UPSTREAM_REQUEST_TIMEOUT)
    raise Refused(Flag.UPSTREAM_REQUEST_TIMEOUT)
