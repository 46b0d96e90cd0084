"""All that the configuration is made of at one moment, what it means, and what a change of it would come to. Pure.

It is a value, so that a thread can take its time over it while the loop goes on serving. Only one thing is written to
meanwhile: the `memory` of the resources, by the compiler. So two moments that share resources are compiled one after
the other; whoever can't wait takes a `copy`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from composemesh.catalog import Catalogs
from composemesh.config.compile import compile_mesh
from composemesh.config.difference import Change, difference, effects
from composemesh.config.loaders.labels import ContainerLabels, load_labels
from composemesh.config.resources import Resource, ResourceKey
from composemesh.config.written import Written
from composemesh.model.problem import Problem
from composemesh.model.snapshot import Snapshot
from composemesh.model.workload import Workload

Resources = Mapping[ResourceKey, Resource]
Compiled = tuple[Snapshot, tuple[Problem, ...]]


@dataclass(frozen=True, slots=True)
class Moment:
    """What files, labels and live changes say, and what is in force because of it."""

    project: str
    written: Written
    applied: Resources
    workloads: tuple[Workload, ...]
    """Those that run, with their labels."""
    catalogs: Catalogs | None
    """What can be named in labels."""
    folder: Path | None
    """Where paths in labels begin."""
    rejected: tuple[Problem, ...]
    """Why the newest files are not `written`."""
    snapshot: Snapshot
    problems: tuple[Problem, ...]
    """Those that have been told."""

    @property
    def resources(self) -> dict[ResourceKey, Resource]:
        """The Istio documents by key, those of files and those applied, which stand in their place."""
        return overlaid(self.written.resources, self.applied)

    def copy(self) -> Moment:
        """The same, with resources that nobody else compiles."""
        written = replace(self.written, resources=tuple(replace(one, memory={}) for one in self.written.resources))
        return replace(
            self, written=written, applied={key: replace(one, memory={}) for key, one in self.applied.items()}
        )

    def compiled(self) -> Compiled:
        """The mesh that all of this makes, and everything wrong with it."""
        return self._compiled(self.applied, tuple(self._containers()))

    def of_files(self) -> tuple[Problem, ...]:
        """What is wrong with the files alone: whether they may be taken is not for labels to decide."""
        return self._compiled({}, ())[1]

    def told(self, compiled: Compiled) -> Compiled:
        """The same, with the problems that are of use to somebody who reads the newest files."""
        if not self.rejected:
            return compiled
        # The documents in force are older ones; their warnings would point at lines that may be gone.
        old = set(self.of_files())
        return compiled[0], (*self.rejected, *(problem for problem in compiled[1] if problem not in old))

    def changed(self, applied: Resources, asked: Resources) -> tuple[Change, Compiled]:
        """What would come of it if these were the applied resources, of which `asked` are what somebody applies."""
        after = replace(self, applied=applied)
        compiled = after.compiled()
        concerned, told = {str(key) for key in asked}, frozenset(self.problems)
        change = replace(
            difference(self.resources, after.resources, asked),
            effects=effects(self.snapshot, compiled[0]),
            # What is wrong already, and with something else, is no reason to refuse.
            problems=tuple(
                problem for problem in compiled[1] if problem.resource in concerned or problem not in told
            ),
        )
        return change, compiled

    def _compiled(self, applied: Resources, containers: Iterable[ContainerLabels]) -> Compiled:
        resources = overlaid(self.written.resources, applied).values()
        snapshot, problems = compile_mesh(self.project, self.written.document, containers, resources, self.workloads)
        return snapshot, (*problems, *self.written.problems)

    def _containers(self) -> Iterator[ContainerLabels]:
        for workload in self.workloads:
            known = self.written.document.label_names.get(workload.compose_service, frozenset())
            labels = load_labels(workload, known, self.catalogs, self.folder)
            if labels is not None:
                yield labels


def overlaid(written: Iterable[Resource], applied: Resources) -> dict[ResourceKey, Resource]:
    """Resources of files, and those that were applied in their place."""
    return {**{resource.key: resource for resource in written}, **applied}
