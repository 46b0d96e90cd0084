"""What resources say together: references to what isn't there, contradictions, rules that no request reaches.

Each document alone is sound by now. The findings have Istio's codes and words where Istio has them. What may start
later (a service, a subset, a gateway) is a warning; what contradicts itself is an error. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from composemesh.config.analysis.conflicts import conflicts
from composemesh.config.analysis.findings import Rules
from composemesh.config.analysis.reach import unreached
from composemesh.config.analysis.references import references
from composemesh.model.problem import Problem

__all__ = ["Rules", "analyse"]


def analyse(
    rules: Rules,
    services: Mapping[str, Collection[int]] | None = None,
    versions: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> tuple[Problem, ...]:
    """Everything that resources say together and should not.

    `services` are the project's services by canonical name, with the ports that they are known to have; none where
    nobody knows. Without it nothing is said about hosts that don't exist: the documents may be for another project.
    `versions` are those of the services of which something runs, with what is written of them besides.
    """
    return (*references(rules, services, versions), *conflicts(rules), *unreached(rules))
