"""What a text holds and where it stands, or why it is not read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from composemesh.model.problem import Problem, Severity

KeyPath = tuple[str | int, ...]
"""Mapping keys as the text that was written, list indices as numbers."""


class Mark(NamedTuple):
    """A place in a text; both count from 1."""

    line: int
    column: int


def mark_of(mark: Any) -> Mark:
    """PyYAML's mark, or libyaml's, or none."""
    return Mark(mark.line + 1, mark.column + 1) if mark is not None else Mark(0, 0)


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document. Mapping keys are always text."""

    value: Any
    """dict, list, str, int, float, bool or None."""
    keys: Mapping[KeyPath, tuple[int, int]] = field(default_factory=dict)
    """Marks as plain tuples, here and in `values`: of tens of thousands, Python's collector looks at each Mark every
    time that it comes, and holds up all threads meanwhile; at tuples of numbers it looks once."""
    values: Mapping[KeyPath, tuple[int, int]] = field(default_factory=dict)

    def place(self, path: KeyPath) -> Mark | None:
        """Where the key stands (for a list's item, the item); None where the document has no such path."""
        found = self.keys.get(path) or self.values.get(path)
        return Mark(*found) if found is not None else None


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text holds: its documents, or the Problems that kept them from being read (then there are none)."""

    documents: tuple[Document, ...] = ()
    problems: tuple[Problem, ...] = ()


class Refused(Exception):
    """Leaves the reader at once; becomes the Problem."""

    def __init__(self, code: str, message: str, mark: Mark | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.mark, self.hint = code, message, mark or Mark(0, 0), hint

    def problem(self, file: str) -> Problem:
        return Problem(Severity.ERROR, self.code, self.message, self.hint, file, *self.mark)
