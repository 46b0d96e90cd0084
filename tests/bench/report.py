"""Rounds into medians, medians into tables and a JSON file."""

from __future__ import annotations

import json
import os
import platform
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from .contests import CONTESTS, HTTP1, HTTP2, TCP, Contest
from .load import Load
from .peers import MESH
from .stack import Figures


@dataclass(frozen=True)
class Round:
    """One peer under load once; `cpu_seconds` by program."""

    contest: str
    peer: str
    connections: int
    load: Load
    cpu_seconds: dict[str, float]
    resident_bytes: int

    @property
    def cpu(self) -> float:
        """Microseconds of all its processes for one request, or for one byte."""
        return sum(self.cpu_seconds.values()) * 1e6 / max(self.load.amount, 1)


@dataclass(frozen=True)
class Row:
    """The medians of a peer's rounds at one number of connections; times in microseconds."""

    contest: str
    peer: str
    connections: int
    cpu: float
    """For one request, or for one byte."""
    per_second: float
    p50: float
    p99: float
    resident_bytes: int
    errors: int

    @property
    def per_cpu_second(self) -> float:
        """Requests, or bytes, that one second of CPU is good for."""
        return 1e6 / self.cpu


@dataclass(frozen=True)
class Goal:
    """What the mesh promises, as a share of the figure of the peer that it is measured by."""

    what: str
    contest: str
    connections: int
    attribute: str
    ratio: float
    least: bool = False
    """More is better: the ratio is the least and not the most."""

    def reached(self, ratio: float) -> bool:
        return ratio >= self.ratio if self.least else ratio <= self.ratio

    @property
    def bound(self) -> str:
        return f"at {'least' if self.least else 'most'} {self.ratio}"


GOALS = (
    Goal("CPU per request, 32 connections", HTTP1, 32, "cpu", 0.6),
    Goal("p50, 1 connection", HTTP1, 1, "p50", 0.7),
    Goal("CPU per request, 8 connections of 10 streams", HTTP2, 8, "cpu", 1.5),
    Goal("bytes per CPU second", TCP, 1, "per_cpu_second", 1.0, least=True),
)


def rows(rounds: list[Round]) -> list[Row]:
    groups: dict[tuple[str, int, str], list[Round]] = defaultdict(list)
    for one in rounds:
        groups[one.contest, one.connections, one.peer].append(one)
    return [_row(group) for group in groups.values()]


def show(table: list[Row], stack: Figures | None) -> None:
    console = Console(width=120)
    for contest in CONTESTS:
        for connections in contest.connections:
            if group := [row for row in table if (row.contest, row.connections) == (contest.name, connections)]:
                console.print(_table(contest, connections, group))
    for goal in GOALS:
        if (ratio := _ratio(table, goal)) is not None:
            verdict = "reached" if goal.reached(ratio) else "MISSED"
            beside = f"{ratio:.2f} times that of {_beside(goal.contest)}"
            console.print(f"{goal.contest}, {goal.what}: {beside} (goal: {goal.bound}, {verdict})", soft_wrap=True)
    if stack is not None:
        console.print(
            f"{stack.services} services, medians: ready {stack.ready_median_seconds:.2f} s from `attach` (goal: 1),"
            f" {stack.resident_bytes / 2**20:.0f} MiB (goal: 120),"
            f" captured {stack.capture_median_ms:.0f} ms after a start event (goal: 50)",
            soft_wrap=True,
        )


def save(path: Path, rounds: list[Round], table: list[Row], stack: Figures | None, left_out: dict[str, str]) -> None:
    content: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()},
        "left_out": left_out,
        "goals": [asdict(goal) | {"seen": _ratio(table, goal)} for goal in GOALS],
        "medians": [asdict(row) for row in table],
        "stack": asdict(stack) if stack else None,
        "rounds": [asdict(one) for one in rounds],
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


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
        errors=sum(one.load.errors for one in rounds),
    )


Column = tuple[str, Callable[[Row, Row | None], str]]
"""A heading, and the text for a row beside the row that ratios are of."""


def _share(attribute: str) -> Callable[[Row, Row | None], str]:
    return lambda row, other: f"{getattr(row, attribute) / getattr(other, attribute):.2f}" if other else ""


REQUESTS: tuple[Column, ...] = (
    ("CPU µs/request", lambda row, _: f"{row.cpu:.1f}"),
    ("of pair", _share("cpu")),
    ("requests/s", lambda row, _: f"{row.per_second:,.0f}"),
    ("p50 µs", lambda row, _: f"{row.p50:.0f}"),
    ("of pair", _share("p50")),
    ("p99 µs", lambda row, _: f"{row.p99:.0f}"),
    ("memory MiB", lambda row, _: f"{row.resident_bytes / 2**20:.0f}"),
    ("errors", lambda row, _: str(row.errors)),
)
BYTES: tuple[Column, ...] = (
    ("GB/CPU second", lambda row, _: f"{row.per_cpu_second / 1e9:.2f}"),
    ("of Envoy", _share("per_cpu_second")),
    ("GB/s", lambda row, _: f"{row.per_second / 1e9:.2f}"),
    ("memory MiB", lambda row, _: f"{row.resident_bytes / 2**20:.0f}"),
)


def _table(contest: Contest, connections: int, rows: list[Row]) -> Table:
    columns = BYTES if contest.name == TCP else REQUESTS
    other = next((row for row in rows if row.peer == contest.beside), None)
    title = f"{contest.name}, {connections} connection{'s' if connections > 1 else ''}"
    table = Table(title=title, title_justify="left")
    table.add_column("proxy", no_wrap=True)
    for heading, _ in columns:
        table.add_column(heading, justify="right")
    for row in rows:
        style = "bold" if row.peer == MESH.name else None
        table.add_row(row.peer, *(text(row, other) for _, text in columns), style=style)
    return table


def _beside(contest: str) -> str:
    return next(one.beside for one in CONTESTS if one.name == contest)


def _ratio(table: list[Row], goal: Goal) -> float | None:
    """The mesh's figure as a share of the other's, or None when one of the two did not take part."""
    figures: dict[str, float] = {
        row.peer: getattr(row, goal.attribute)
        for row in table
        if (row.contest, row.connections) == (goal.contest, goal.connections)
    }
    other = _beside(goal.contest)
    return figures[MESH.name] / figures[other] if MESH.name in figures and other in figures else None
