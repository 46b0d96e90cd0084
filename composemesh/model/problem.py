"""What is wrong with a document. User mistakes are data; only our own bugs are exceptions."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Severity(enum.StrEnum):
    ERROR = "error"
    """The document is rejected; the last good configuration stays."""
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong, where it stands, and what to do about it (admin API, `problems`)."""

    severity: Severity
    code: str
    """Stable and kebab-case, e.g. `unknown-key`: what tests and scripts may rely on."""
    message: str
    hint: str = ""
    """What to do next, as an imperative sentence."""
    file: str = ""
    line: int = 0
    """1-based; 0 where the document has no lines (a container's label)."""
    column: int = 0
    resource: str = ""
    """What the document configures, e.g. `service reviews` or `container shop-reviews-1`."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        return f"{place}{self.message}" + (f" {self.hint}" if self.hint else "")


def quotable(text: str, limit: int = 60) -> str:
    """Foreign text as a message may hold it: on one line, without control characters, bounded."""
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text[:limit])
    return f"{shown}…" if len(text) > limit else shown
