"""The fixtures of this folder: a mesh on loopback, its fast lane open."""

from __future__ import annotations

from mesh.conftest import lane, net

__all__ = ["lane", "net"]
