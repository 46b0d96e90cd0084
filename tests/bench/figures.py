"""What one round of a peer has shown, and the medians of several."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import median

from .load import Load


@dataclass(frozen=True)
class Round:
    """One peer under load once; `cpu_seconds` by program."""

    contest: str
    peer: str
    connections: int
    load: Load
    cpu_seconds: dict[str, float]
    resident_bytes: int
    """While the load still stood."""
    grown_bytes: int
    """How much of that was not there before."""

    @property
    def cpu(self) -> float:
        """Microseconds of all its processes for one request, connection or byte."""
        return sum(self.cpu_seconds.values()) * 1e6 / max(self.load.amount, 1)


@dataclass(frozen=True)
class Row:
    """The medians of a peer's rounds at one number of connections; times in microseconds."""

    contest: str
    peer: str
    connections: int
    cpu: float
    """For one request, connection or byte."""
    per_second: float
    p50: float
    p99: float
    resident_bytes: int
    grown_bytes: int
    errors: int

    @property
    def per_cpu_second(self) -> float:
        """Requests, connections or bytes that one second of CPU is good for."""
        return 1e6 / self.cpu if self.cpu else 0.0

    @property
    def resident_mib(self) -> float:
        return self.resident_bytes / 2**20

    @property
    def grown_mib(self) -> float:
        return self.grown_bytes / 2**20


def rows(rounds: list[Round]) -> list[Row]:
    groups: dict[tuple[str, int, str], list[Round]] = defaultdict(list)
    for one in rounds:
        groups[one.contest, one.connections, one.peer].append(one)
    return [_row(group) for group in groups.values()]


def _row(rounds: list[Round]) -> Row:
    first = rounds[0]
    return Row(
        first.contest,
        first.peer,
        first.connections,
        cpu=median(one.cpu for one in rounds),
        per_second=median(one.load.per_second for one in rounds),
        p50=median(one.load.p50 for one in rounds),
        p99=median(one.load.p99 for one in rounds),
        resident_bytes=max(one.resident_bytes for one in rounds),
        grown_bytes=max(one.grown_bytes for one in rounds),
        errors=sum(one.load.errors for one in rounds),
    )
