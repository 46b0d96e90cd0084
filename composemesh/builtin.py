"""THE registration file: what comes with composemesh, a line per entry, registered as plugins are.

Classes are named by where they are: nothing is imported before somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from composemesh.config import kinds
from composemesh.proxy.balance import BALANCERS

if TYPE_CHECKING:
    from composemesh.plugin import Registrar

API = 1

FILTERS: Mapping[str, str] = {
    "headers": "composemesh.proxy.filters.header_filter:HeaderFilter",
}
SOURCES: Mapping[str, str] = {
    "docker": "composemesh.discovery.docker.source:DockerSource",
    "static": "composemesh.discovery.static:StaticSource",
}
SINKS: Mapping[str, str] = {
    "access_log": "composemesh.telemetry.sinks.access_log:AccessLogSink",
}


def register(mesh: Registrar) -> None:
    """Register all of it."""
    for name, where in FILTERS.items():
        mesh.filter(name, where)
    for name, where in SOURCES.items():
        mesh.source(name, where)
    for name, where in SINKS.items():
        mesh.sink(name, where)
    for name, where in BALANCERS.items():
        mesh.balancer(name, where)
    for key, where in kinds.BUILT_IN.items():
        group, _, name = key.rpartition("/")
        mesh.kind(group, name, f"{kinds.__name__}.{where}")
