"""A Compose project as Compose itself prints it. Nothing else: a command that only asks Compose loads no more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
"""Files that Compose reads besides the main one, in the order in which compose-go looks for one."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A Compose project after Compose's own resolution."""

    text: str
    """What `docker compose config` printed: YAML (its JSON drops a service's `x-mesh`)."""
    files: tuple[Path, ...] = ()
    """The Compose files that it was made of, in Compose's order; included and extended ones are found from here."""


class Unresolved(Exception):
    """Compose refuses the project. The text is what it printed on standard error."""
