"""The fixture of this folder: a mesh on loopback."""

from __future__ import annotations

from mesh.conftest import net

__all__ = ["net"]
