"""A sink of composemesh that speaks StatsD, with DogStatsD's tags where wanted.

`lines` the text · `tally` what is counted between two reports · `outlet` the socket · `config` what `x-mesh` may say
· `sink` all of them together. Importing this module imports none of them: the mesh does, once the sink is configured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from composemesh.plugin import Registrar

API = 1
"""The version of `composemesh.plugin` that this was written for."""


def register(mesh: Registrar) -> None:
    """Let `statsd` stand for the sink."""
    mesh.sink("statsd", "composemesh_statsd.sink:StatsD")
