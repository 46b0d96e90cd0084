"""What the tables are made of: numbers as people read them, and texts that cannot paint the terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from composemesh.cli.output import printable

NOTHING = "-"


def safe(text: object, style: str = "") -> Text:
    """Text from elsewhere, harmless: no markup, no escape sequences, one line."""
    return Text(printable(str(text)), style=style)


def table(*headings: str) -> Table:
    """A plain table. A heading that begins with `>` is a column of numbers."""
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in headings:
        number = heading.startswith(">")
        grid.add_column(heading.lstrip(">"), justify="right" if number else "left", no_wrap=number)
    return grid


def milliseconds(value: float | None) -> str:
    """``0.8 ms``, ``12 ms``, ``3.4 s``."""
    if value is None:
        return NOTHING
    if value >= 1000:
        return f"{value / 1000:.1f} s"
    return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"


def rate(value: float | None) -> str:
    """Requests a second."""
    if not value:
        return "0" if value == 0 else NOTHING
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def percent(value: float | None) -> Text:
    """A share of 0 to 1. It says 100 % only when nothing failed."""
    if value is None:
        return Text(NOTHING)
    shown = f"{value:.0%}" if value in (0, 1) else f"{min(max(value * 100, 0.1), 99.9):.1f}%"
    return Text(shown, style="green" if value >= 0.99 else "yellow" if value >= 0.9 else "red")


def count(value: float | None) -> str:
    """``999``, ``12.3k``, ``4.5M``."""
    if value is None:
        return NOTHING
    for limit, divisor, unit in ((10_000, 1, ""), (1_000_000, 1_000, "k"), (float("inf"), 1_000_000, "M")):
        if value < limit:
            return f"{value / divisor:.1f}{unit}" if unit else f"{value:.0f}"
    raise AssertionError


def duration(seconds: float) -> str:
    """``42s``, ``5m``, ``3h``, ``2d``."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.0f}s"
