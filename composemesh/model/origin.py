"""Who wrote a part of the configuration, and where."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """Who wrote a rule, and where: what `explain`, Problems and records say of it."""

    kind: str = ""
    """Istio's kind, or `x-mesh`."""
    name: str = ""
    file: str = ""
    line: int = 0
    """1-based; 0 where there are no lines."""

    def __str__(self) -> str:
        place = f" ({self.file}:{self.line})" if self.line else f" ({self.file})" if self.file else ""
        return f"{self.kind} {self.name}{place}".strip()


NOWHERE = Origin()
