"""A field of a plugin's settings, with what it is for: said by whoever is configured, read by the room `config`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

DOC = "doc"
"""Where a field's `metadata` says what it is for."""


def setting(doc: str, default: Any = dataclasses.MISSING, *, make: Callable[[], Any] | None = None) -> Any:
    """A field of a `Config` with a line for the reference; without a default it must be said.

    `make` makes a default that must be new each time, as a dict: `make=dict`.
    """
    factory: Any = dataclasses.MISSING if make is None else make
    return dataclasses.field(default=default, default_factory=factory, metadata={DOC: doc})
