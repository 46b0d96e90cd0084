"""A filter of composemesh that compresses answers.

`negotiate` what the caller takes (pure) · `suits` which answers are meant (pure) · `coders` the libraries ·
`config` what `x-mesh` may say · `filter` all of them together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from composemesh.plugin import Registrar

API = 1
"""The version of `composemesh.plugin` that this was written for."""


def register(mesh: Registrar) -> None:
    """Let `compress` stand for the filter."""
    mesh.filter("compress", "composemesh_compress.filter:Compress")
