"""The sink: takes records, counts them, and sends a report every few seconds."""

from __future__ import annotations

from collections.abc import Iterator

import structlog
import trio

from composemesh.plugin import Records
from composemesh_statsd.config import StatsDConfig
from composemesh_statsd.lines import Dialect, Plain, Tagged, packed
from composemesh_statsd.outlet import outlet
from composemesh_statsd.tally import Tally

log = structlog.get_logger()


class StatsD:
    """Sends counters, timers and gauges to whoever understands StatsD."""

    Config = StatsDConfig

    def __init__(self, config: StatsDConfig) -> None:
        self._config = config
        self._outlet = outlet(config.address)
        self._dialect = _dialect(config)
        self._told = ""

    def __repr__(self) -> str:
        return f"<StatsD {self._outlet} every {self._config.interval:g} s {self._told or 'well'}>"

    async def run(self, records: Records) -> None:
        """Report every `interval`, and a last time when the records end. Cancelled, the last report is lost."""
        due = trio.current_time()
        over = False
        while not over:
            due = max(due + self._config.interval, trio.current_time())
            tally = Tally(self._config.by)
            with trio.move_on_at(due):
                while batch := await records.take():
                    for record in batch:
                        tally.add(record)
                over = True
            if tally.records:
                await self._report(tally, records)

    async def _report(self, tally: Tally, records: Records) -> None:
        written = 0

        def lines() -> Iterator[bytes]:
            nonlocal written
            for line in tally.lines(self._dialect):
                written += 1
                yield line

        lost, why = await self._outlet.send(packed(lines(), self._outlet.size))
        if lost:
            records.lose(round(tally.records * lost / written))
        if why != self._told:
            if why:
                log.warning("statsd report lost", to=str(self._outlet), problem=why, lines=lost)
            else:
                log.info("statsd reports arrive again", to=str(self._outlet))
            self._told = why


def _dialect(config: StatsDConfig) -> Dialect:
    if config.dialect == "dogstatsd":
        return Tagged(config.prefix, config.by, config.tags.items())
    return Plain(config.prefix)
