"""Faults: a request is held back, or answered with an error. The two are drawn apart from one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from composemesh.model.flag import Flag
from composemesh.proxy.refuse import Refused, http_of_grpc
from composemesh.routing.chance import ABORT, DELAY, Chance

if TYPE_CHECKING:
    from composemesh.model.route import Fault
    from composemesh.proxy.exchange import Exchange


class Faults:
    """The faults of one rule, and whose turn it is."""

    __slots__ = ("_abort", "_abort_chance", "_delay", "_delay_chance")

    def __init__(self, fault: Fault) -> None:
        self._delay = fault.delay
        self._abort = fault.abort
        self._delay_chance = Chance(DELAY)
        self._abort_chance = Chance(ABORT)

    def __repr__(self) -> str:
        return f"<Faults {self._delay} {self._abort}>"

    async def inject(self, x: Exchange) -> None:
        """Hold the request back if it is its turn, and then fail it if it is its turn for that. Raises Refused."""
        delay, abort = self._delay, self._abort
        delayed = delay is not None and self._delay_chance.hits(delay.percent)
        aborted = abort is not None and self._abort_chance.hits(abort.percent)
        if delay is not None and delayed:
            x.record.flag = Flag.DELAY_INJECTED
            await trio.sleep(delay.seconds)
        if abort is not None and aborted:
            status = abort.http_status or http_of_grpc(abort.grpc_status)
            raise Refused(Flag.FAULT_INJECTED, status=status, grpc_status=abort.grpc_status)
