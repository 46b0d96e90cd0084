"""StatsD's text: a line a metric, and lines packed into datagrams. Pure.

    composemesh.productpage.reviews.v2.200.requests:17|c                             plain
    composemesh.requests:17|c|#source:productpage,destination:reviews,code:200       with DogStatsD's tags

Names and tags are made of what the mesh has seen, and callers choose some of that (a path, a Host): whatever could
end a name, a tag or a line is replaced, so that nobody can forge a metric of another service.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Protocol

Kind = Literal["c", "ms", "g"]
"""Counter, timer, gauge."""

LONGEST_PART = 64
"""Letters of a name's part, or of a tag's value: enough for every name in DNS."""
NOTHING = "none"
"""What stands where there is nothing to say: an empty part would shift the others."""

_NOT_A_PART = re.compile(r"[^A-Za-z0-9_-]+")
_NOT_A_VALUE = re.compile(r"[^A-Za-z0-9_./-]+")


def part(text: str) -> str:
    """A part of a name between two dots."""
    return _NOT_A_PART.sub("_", text[:LONGEST_PART]) or NOTHING


def tag_value(text: str) -> str:
    """What stands behind a tag's colon; it may have dots and slashes."""
    return _NOT_A_VALUE.sub("_", text[:LONGEST_PART]) or NOTHING


class Dialect(Protocol):
    """How a metric and its labels are written."""

    def line(self, metric: str, labels: Sequence[str], value: str, kind: Kind, rate: float = 1.0) -> bytes:
        """One line without its end. `rate`: the share of events that are told; the receiver scales by it."""


class Plain:
    """What every StatsD server reads: labels are parts of the name."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def line(self, metric: str, labels: Sequence[str], value: str, kind: Kind, rate: float = 1.0) -> bytes:
        name = ".".join((self._prefix, *map(part, labels), metric))
        return f"{name}:{value}|{kind}{_rate(rate)}".encode()


class Tagged:
    """DogStatsD: labels are tags (also Telegraf, Vector and the statsd_exporter of Prometheus)."""

    def __init__(self, prefix: str, names: Sequence[str], always: Iterable[tuple[str, str]] = ()) -> None:
        self._prefix = prefix
        self._names = tuple(names)
        self._always = [f"{part(name)}:{tag_value(value)}" for name, value in always]

    def line(self, metric: str, labels: Sequence[str], value: str, kind: Kind, rate: float = 1.0) -> bytes:
        tags = [f"{name}:{tag_value(label)}" for name, label in zip(self._names, labels, strict=False)]
        said = ",".join([*tags, *self._always])
        return f"{self._prefix}.{metric}:{value}|{kind}{_rate(rate)}{'|#' if said else ''}{said}".encode()


def _rate(rate: float) -> str:
    return "" if rate >= 1.0 else f"|@{rate:.6f}"


def packed(lines: Iterable[bytes], size: int) -> Iterator[tuple[bytes, int]]:
    """Datagrams of `size` bytes at most, and how many lines are in each. A longer line goes alone: it is as it is."""
    waiting: list[bytes] = []
    room = size
    for line in lines:
        if waiting and len(line) + 1 > room:
            yield b"\n".join(waiting), len(waiting)
            waiting, room = [], size
        room -= len(line) + bool(waiting)
        waiting.append(line)
    if waiting:
        yield b"\n".join(waiting), len(waiting)
