"""How JSON, and messages, write what has a unit."""

from __future__ import annotations

from typing import Any


def seconds(value: float) -> str:
    """A Duration."""
    return f"{value:.9f}s"


def put_seconds(field: Any, value: float) -> None:
    """Write a Duration into a message's field."""
    field.FromNanoseconds(round(value * 1e9))


def fraction(percent: float) -> dict[str, Any]:
    """A FractionalPercent, to a ten-thousandth of a percent."""
    return {"numerator": round(percent * 10_000), "denominator": "MILLION"}
