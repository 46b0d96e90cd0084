"""Labels of workloads, as rules and subsets mean them."""

from __future__ import annotations

from collections.abc import Mapping

from composemesh.model.workload import Workload


def labels_of(workload: Workload, service: str, version: str) -> Mapping[str, str]:
    """What `sourceLabels` and a subset's `labels` are compared with: the container's own labels, and besides them
    the two that Istio's documents count on, `app` and `version`, in the mesh's own reading."""
    return {"app": service, **workload.labels, "version": version}


def has(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether all that is wanted is there."""
    return all(labels.get(name) == value for name, value in wanted.items())
