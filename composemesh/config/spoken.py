"""What running containers say: containers come and go all the time, and this hardly ever changes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from composemesh.config.loaders.labels import mesh_labels
from composemesh.model.snapshot import infer_service
from composemesh.model.workload import Workload


class Spoken(NamedTuple):
    """All about running containers that the configuration depends on, to be compared."""

    labels: object
    """Of themselves: whether they may be entered at all is among it."""
    callable: object
    """Which services have which ports."""


def spoken(workloads: Iterable[Workload]) -> Spoken:
    """What these say."""
    workloads = tuple(workloads)
    labelled = ((each, frozenset(mesh_labels(each.labels).items())) for each in workloads if not each.oneoff)
    return Spoken(
        frozenset((each.compose_service, each.name, each.started, said) for each, said in labelled if said),
        frozenset((each.compose_service, infer_service(each), each.ports) for each in workloads),
    )
