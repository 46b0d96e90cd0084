"""Medians into tables, goals into sentences, and all of it into a JSON file."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .contests import CONTESTS, Contest, Unit
from .figures import Round, Row
from .goals import GOALS
from .peers import COMPILED, MESH
from .stack import Figures

Column = tuple[str, Callable[[Row, Row | None], str]]
"""A heading, and the text for a row beside the row that ratios are of."""


def _share(attribute: str) -> Callable[[Row, Row | None], str]:
    return lambda row, other: f"{getattr(row, attribute) / getattr(other, attribute):.2f}" if other else ""


P50: tuple[Column, ...] = (("p50 µs", lambda row, _: f"{row.p50:.0f}"), ("of Envoy", _share("p50")))
P99: Column = ("p99 µs", lambda row, _: f"{row.p99:.0f}")
MEMORY: Column = ("memory MiB", lambda row, _: f"{row.resident_mib:.0f}")
ERRORS: Column = ("errors", lambda row, _: str(row.errors))


def _cpu(unit: str) -> tuple[Column, ...]:
    return ((f"CPU µs/{unit}", lambda row, _: f"{row.cpu:.1f}"), ("of Envoy", _share("cpu")))


def _rate(unit: str) -> Column:
    return (f"{unit}s/s", lambda row, _: f"{row.per_second:,.0f}")


COLUMNS: dict[Unit, tuple[Column, ...]] = {
    Unit.REQUEST: (*_cpu("request"), _rate("request"), *P50, P99, MEMORY, ERRORS),
    Unit.CONNECTION: (*_cpu("connection"), _rate("connection"), ERRORS),
    Unit.LATENCY: (_rate("request"), *P50, P99, ("of Envoy", _share("p99")), ERRORS),
    Unit.BYTE: (
        ("GB/CPU second", lambda row, _: f"{row.per_cpu_second / 1e9:.2f}"),
        ("of Envoy", _share("per_cpu_second")),
        ("GB/s", lambda row, _: f"{row.per_second / 1e9:.2f}"),
        MEMORY,
    ),
    Unit.MEMORY: (MEMORY, ("grown MiB", lambda row, _: f"{row.grown_mib:.1f}"), ERRORS),
}


def show(table: list[Row], stack: Figures | None) -> None:
    console = Console(width=120)
    for contest in CONTESTS:
        for connections in contest.connections:
            if group := [row for row in table if (row.contest, row.connections) == (contest.name, connections)]:
                console.print(_table(contest, connections, group))
    for goal in GOALS:
        if (seen := goal.seen(table)) is not None:
            console.print(goal.verdict(seen), soft_wrap=True)
        if (seen := goal.seen(table, COMPILED.name)) is not None:
            console.print(f"  compiled: {seen:.2f}", soft_wrap=True)
    if stack is not None:
        console.print(
            f"{stack.services} services, medians: ready {stack.ready_median_seconds:.2f} s from `attach` (goal: 1),"
            f" {stack.resident_bytes / 2**20:.0f} MiB (goal: 120),"
            f" captured {stack.capture_median_ms:.0f} ms after a start event (goal: 50)",
            soft_wrap=True,
        )


def save(path: Path, rounds: list[Round], table: list[Row], stack: Figures | None, left_out: dict[str, str]) -> None:
    content: dict[str, Any] = {
        "machine": {
            "cores": os.cpu_count(),
            "kernel": platform.release(),
            "python": platform.python_version(),
            "busy": os.getloadavg(),
        },
        "left_out": left_out,
        "goals": [asdict(goal) | {"seen": goal.seen(table)} for goal in GOALS],
        "medians": [asdict(row) for row in table],
        "stack": asdict(stack) if stack else None,
        "rounds": [asdict(one) for one in rounds],
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


def _table(contest: Contest, connections: int, rows: list[Row]) -> Table:
    other = next((row for row in rows if row.peer == contest.beside), None)
    title = f"{contest.name}, {connections:,} connection{'s' if connections > 1 else ''}"
    table = Table(title=title, title_justify="left")
    table.add_column("proxy", no_wrap=True)
    for heading, _ in COLUMNS[contest.unit]:
        table.add_column(heading, justify="right")
    for row in rows:
        style = "bold" if row.peer == MESH.name else None
        table.add_row(row.peer, *(text(row, other) for _, text in COLUMNS[contest.unit]), style=style)
    return table
