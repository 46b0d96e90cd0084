"""Rounds into medians, medians into a table and a JSON file."""

from __future__ import annotations

import json
import os
import platform
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from .load import Load
from .peers import MESH, PAIR
from .stack import Figures


@dataclass(frozen=True)
class Round:
    """One peer under load once; `cpu` in microseconds of all its processes for one request, by program."""

    peer: str
    connections: int
    load: Load
    cpu: dict[str, float]
    resident_bytes: int

    @property
    def cpu_total(self) -> float:
        return sum(self.cpu.values())


@dataclass(frozen=True)
class Row:
    """The medians of a peer's rounds at one number of connections; times in microseconds."""

    peer: str
    connections: int
    cpu: float
    per_second: float
    p50: float
    p99: float
    resident_bytes: int
    errors: int


@dataclass(frozen=True)
class Goal:
    """What the mesh promises beside the Envoy pair."""

    what: str
    connections: int
    attribute: str
    at_most: float


GOALS = (
    Goal("CPU per request, 32 connections", 32, "cpu", 0.6),
    Goal("p50, 1 connection", 1, "p50", 0.7),
)


def rows(rounds: list[Round]) -> list[Row]:
    groups: dict[tuple[int, str], list[Round]] = defaultdict(list)
    for one in rounds:
        groups[one.connections, one.peer].append(one)
    return [_row(peer, connections, group) for (connections, peer), group in groups.items()]


def show(table: list[Row], stack: Figures | None) -> None:
    console = Console(width=120)
    for connections in sorted({row.connections for row in table}):
        console.print(_table(connections, [row for row in table if row.connections == connections]))
    for goal in GOALS:
        if (reached := _ratio(table, goal)) is not None:
            verdict = "reached" if reached <= goal.at_most else "MISSED"
            console.print(f"{goal.what}: {reached:.2f} of the Envoy pair's (goal: at most {goal.at_most}, {verdict})")
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
        "goals": {goal.what: {"at_most": goal.at_most, "ratio": _ratio(table, goal)} for goal in GOALS},
        "medians": [asdict(row) for row in table],
        "stack": asdict(stack) if stack else None,
        "rounds": [asdict(one) for one in rounds],
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


def _row(peer: str, connections: int, rounds: list[Round]) -> Row:
    return Row(
        peer,
        connections,
        cpu=median(one.cpu_total for one in rounds),
        per_second=median(one.load.per_second for one in rounds),
        p50=median(one.load.p50 for one in rounds),
        p99=median(one.load.p99 for one in rounds),
        resident_bytes=max(one.resident_bytes for one in rounds),
        errors=sum(one.load.errors for one in rounds),
    )


def _table(connections: int, rows: list[Row]) -> Table:
    pair = next((row for row in rows if row.peer == PAIR), None)
    table = Table(title=f"HTTP/1.1, {connections} connection{'s' if connections > 1 else ''}", title_justify="left")
    table.add_column("proxy", no_wrap=True)
    for heading in ("CPU µs/request", "of pair", "requests/s", "p50 µs", "of pair", "p99 µs", "memory MiB", "errors"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row.peer,
            f"{row.cpu:.1f}",
            f"{row.cpu / pair.cpu:.2f}" if pair else "",
            f"{row.per_second:,.0f}",
            f"{row.p50:.0f}",
            f"{row.p50 / pair.p50:.2f}" if pair else "",
            f"{row.p99:.0f}",
            f"{row.resident_bytes / 2**20:.0f}",
            str(row.errors),
            style="bold" if row.peer == MESH else None,
        )
    return table


def _ratio(table: list[Row], goal: Goal) -> float | None:
    """The mesh's figure as a share of the pair's, or None when one of the two did not take part."""
    figures: dict[str, float] = {
        row.peer: getattr(row, goal.attribute) for row in table if row.connections == goal.connections
    }
    return figures[MESH] / figures[PAIR] if MESH in figures and PAIR in figures else None
