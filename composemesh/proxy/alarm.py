"""Deadlines by the thousand, few of which ever come: what limits the time of requests.

A cancel scope with a deadline of its own costs a request more than its head costs to parse. But the times of requests
are those that rules give, so there are few different ones, and alarms of one length ring in the order in which they
were set. Each length has a queue, and a task that watches the first in it; to set one is to append, to take it back
is to mark it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

import trio

FEW = 64
"""Alarms taken back that a queue may always hold. Beyond, it may hold as many as are set: then it is swept."""


class Alarm:
    """One deadline. Rings once, unless it is taken back."""

    __slots__ = ("_queue", "due", "ring")

    def __init__(self, queue: _Queue, due: float, ring: Callable[[], None]) -> None:
        self._queue = queue
        self.due = due
        self.ring: Callable[[], None] | None = ring
        """None once it has rung, or was taken back: whatever it held on to is free."""

    def off(self) -> None:
        """Take it back. Of no effect once it has rung."""
        if self.ring is not None:
            self.ring = None
            self._queue.set -= 1


class _Queue:
    """Those of one length, the first to ring first."""

    __slots__ = ("alarms", "set")

    def __init__(self) -> None:
        self.alarms: deque[Alarm] = deque()
        self.set = 0
        """How many of them are still to ring."""


class Alarms:
    """All of them. `start` runs a task for as long as there may be alarms."""

    def __init__(self, start: Callable[[Callable[[], Awaitable[object]]], None]) -> None:
        self._start = start
        self._queues: dict[float, _Queue] = {}

    def __repr__(self) -> str:
        return f"<Alarms { ({seconds: queue.set for seconds, queue in self._queues.items()}) }>"

    def set(self, seconds: float, ring: Callable[[], None]) -> Alarm:
        """Have `ring` called in so many seconds. It must neither wait nor raise."""
        queue = self._queues.get(seconds)
        if queue is None:
            queue = self._queues[seconds] = _Queue()
            self._start(partial(self._watch, seconds, queue))
        elif len(queue.alarms) > 2 * queue.set + FEW:
            queue.alarms = deque(alarm for alarm in queue.alarms if alarm.ring is not None)
        alarm = Alarm(queue, trio.current_time() + seconds, ring)
        queue.alarms.append(alarm)
        queue.set += 1
        return alarm

    async def _watch(self, seconds: float, queue: _Queue) -> None:
        """Until none is left. Those that were taken back are met in passing, and waited for only at the head."""
        try:
            while queue.alarms:
                alarm = queue.alarms[0]
                if alarm.ring is not None:
                    await trio.sleep_until(alarm.due)
                if queue.alarms and queue.alarms[0] is alarm:  # it may have been swept away meanwhile
                    queue.alarms.popleft()
                if alarm.ring is not None:
                    ring = alarm.ring
                    alarm.off()
                    ring()
        finally:
            del self._queues[seconds]
