"""What happened since the last report, by label set: counted here, so that a report costs lines and not a request."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter

from composemesh.plugin import Record
from composemesh_statsd.lines import Dialect

MOST_SERIES = 1000
"""Label sets in one report. Callers can make up any number of paths and hosts; the rest is `other`."""
MOST_TIMINGS = 50
"""Durations of one label set in one report. Of more a fair sample is sent, and its rate is said."""

LABELS: Mapping[str, Callable[[Record], object]] = {
    "source": attrgetter("source.service"),
    "destination": attrgetter("destination.service"),
    "version": attrgetter("destination.version"),
    "workload": attrgetter("destination.workload"),
    "protocol": attrgetter("protocol"),
    "code": attrgetter("response_code"),
    "flag": attrgetter("flag.value"),
    "grpc_status": attrgetter("grpc_status"),
    "method": attrgetter("method"),
    "authority": attrgetter("authority"),
    "path": lambda record: record.path.partition("?")[0],
    "route": attrgetter("route"),
}
"""What a metric can be split by."""


class Series:
    """One label set."""

    __slots__ = ("received", "requests", "sent", "slowest", "timings")

    def __init__(self) -> None:
        self.requests = 0
        self.received = 0
        self.sent = 0
        self.slowest = 0.0
        self.timings: list[float] = []
        """Seconds; a sample where there were more than MOST_TIMINGS."""


class Tally:
    """The series of one report."""

    def __init__(self, by: Sequence[str], draw: Callable[[], float] = random.random) -> None:
        """`by`: words of LABELS. `draw` gives numbers from 0 up to but not including 1."""
        self._read = [LABELS[word] for word in by]
        self._series: dict[tuple[object, ...], Series] = {}
        self.records = 0
        """How many exchanges it has counted."""
        self._other = ("other",) * len(self._read)
        self._draw = draw

    def __repr__(self) -> str:
        return f"<Tally {self.records} records in {len(self._series)} series>"

    def __len__(self) -> int:
        return len(self._series)

    def add(self, record: Record) -> None:
        """Count one exchange: a few microseconds."""
        self.records += 1
        key = tuple([read(record) for read in self._read])
        series = self._series.get(key)
        if series is None:
            if len(self._series) >= MOST_SERIES:
                key = self._other
            series = self._series.setdefault(key, Series())
        series.requests += 1
        series.received += record.bytes_received
        series.sent += record.bytes_sent
        duration = record.duration
        if duration > series.slowest:
            series.slowest = duration
        if len(series.timings) < MOST_TIMINGS:
            series.timings.append(duration)
        elif (place := int(self._draw() * series.requests)) < MOST_TIMINGS:
            series.timings[place] = duration  # Vitter's algorithm R: each one so far had the same chance

    def lines(self, dialect: Dialect) -> Iterator[bytes]:
        """The report, line by line."""
        for key, series in self._series.items():
            labels = [str(label) for label in key]
            yield dialect.line("requests", labels, str(series.requests), "c")
            if series.received:
                yield dialect.line("request_bytes", labels, str(series.received), "c")
            if series.sent:
                yield dialect.line("response_bytes", labels, str(series.sent), "c")
            yield dialect.line("slowest", labels, _milliseconds(series.slowest), "g")
            rate = len(series.timings) / series.requests
            for duration in series.timings:
                yield dialect.line("duration", labels, _milliseconds(duration), "ms", rate)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.3f}".rstrip("0").rstrip(".")
