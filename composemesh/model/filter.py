"""A filter where the configuration names it: what it is made of, and what becomes of a request when it fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from composemesh.model.origin import NOWHERE, Origin

PATIENCE = 10.0
"""Seconds that a filter may hold a request or an answer, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class FilterUse:
    """One filter of one place: of the whole mesh, or of a service."""

    name: str
    config: Any = None
    """An instance of the filter's `Config`; None where it has none."""
    fail_open: bool = False
    """Whether a request goes on without the filter, where it fails; else it is refused."""
    timeout: float = PATIENCE
    """Seconds that its `around` may spend outside `then()`."""
    missing: str = ""
    """Why there is no such filter at present; it fails every time."""
    origin: Origin = field(default=NOWHERE, compare=False)
