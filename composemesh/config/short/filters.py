"""`filters` → what requests go through."""

from __future__ import annotations

from dataclasses import replace

from composemesh.config.loaders.said import Settings
from composemesh.config.short.origin import origin_of
from composemesh.model.filter import FilterUse


def filters_of(place: str, said: Settings) -> tuple[FilterUse, ...]:
    """The filters of a place, in the order written, each with its own line."""
    found = sorted((int(path[1]), path) for path in said if path[0] == "filters")
    return tuple(replace(said[path].value, origin=origin_of(place, said[path])) for _, path in found)
