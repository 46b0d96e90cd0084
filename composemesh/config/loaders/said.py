"""One thing that somebody said, and where: what loaders hand to the compiler."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from composemesh.config.schema import Finding, Reading
from composemesh.config.yaml import KeyPath
from composemesh.model.problem import Problem, quotable

LONGEST = 1000
"""Letters of a message, or of its hint: they repeat what somebody wrote."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a document says something; line and column count from 1, and are 0 where there are none."""

    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Said:
    """A setting's value with its place."""

    value: Any
    place: Place
    subject: str
    """Who says it, as a message names it: "x-mesh of service reviews", "a label of container shop-reviews-1"."""
    container: bool = False
    """Said by a running container's label, and so for its own Compose service only."""


Settings = Mapping[KeyPath, Said]
"""By path below `x-mesh`, e.g. ("ports", "9080")."""

Locate = Callable[[KeyPath], Place]


def problems_of(findings: Iterable[Finding], subject: str, resource: str, locate: Locate) -> tuple[Problem, ...]:
    """Give the findings their file and line, and the name of what they are about."""
    return tuple(_problem(finding, subject, resource, locate(finding.path)) for finding in findings)


def _problem(finding: Finding, subject: str, resource: str, place: Place) -> Problem:
    message, hint = quotable(f"{subject}: {finding.message}", LONGEST), quotable(finding.hint, LONGEST)
    return Problem(
        finding.severity,
        finding.code,
        message,
        hint,
        place.file,
        place.line,
        place.column,
        resource,
    )


def settings_of(reading: Reading, subject: str, locate: Locate, *, container: bool = False) -> dict[KeyPath, Said]:
    return {path: Said(value, locate(path), subject, container) for path, value in reading.said.items()}
