"""Who says the short forms, and where."""

from __future__ import annotations

from composemesh.config.loaders.said import Place, Said
from composemesh.model.origin import Origin

X_MESH = "x-mesh"


def origin_of(service: str, entry: Said | None) -> Origin:
    place = entry.place if entry is not None else Place()
    return Origin(X_MESH, service, place.file, place.line)
