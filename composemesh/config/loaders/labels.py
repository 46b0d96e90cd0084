"""Labels `x-mesh.<path>=<value>`: the service block's words, flattened with dots, each for its own service only."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from composemesh.catalog import Catalogs
from composemesh.config.loaders.said import Place, Settings, problems_of, settings_of
from composemesh.config.schema import SERVICE, Finding, Reading, read
from composemesh.config.yaml import KeyPath
from composemesh.model.problem import Problem, Severity, quotable
from composemesh.model.workload import Workload

PREFIX = "x-mesh"
MAX_LABELS = 64
MAX_LENGTH = 4096
"""Characters of a name and of a value. Docker has no limit of its own, and a label is cheap to write."""

_EXTENSIONS = "#extensions"
"""Where Compose (2.26, 2.40) puts labels of the mapping form whose names begin with `x-`, as Go prints a map."""
_ENTRY = re.compile(r"(?:^| )(x-[^\s:]+):")


def mesh_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels that speak to the mesh, those that Compose has mangled into `#extensions` among them."""
    found = _extensions(labels.get(_EXTENSIONS, ""))
    found.update(labels)  # a label that survived is what was really written
    return {name: value for name, value in found.items() if name == PREFIX or name.startswith(f"{PREFIX}.")}


def _extensions(printed: str) -> dict[str, str]:
    """`map[x-mesh.ports.9080:http x-mesh.version:v1]` → its entries. A value may have blanks; a name has none."""
    if not (printed.startswith("map[") and printed.endswith("]")) or len(printed) > MAX_LABELS * MAX_LENGTH:
        return {}
    parts = _ENTRY.split(printed[4:-1])
    return {name: "" if value == "<nil>" else value for name, value in zip(parts[1::2], parts[2::2], strict=True)}


def read_labels(labels: Mapping[str, Any], catalogs: Catalogs | None = None, folder: Path | None = None) -> Reading:
    """What labels (of `mesh_labels`) say, as if it stood in the service block. Never raises.

    `catalogs`: what can be named in them; `folder`: where their paths begin.
    """
    if len(labels) > MAX_LABELS:
        message = f"{len(labels)} labels speak to the mesh, and at most {MAX_LABELS} are allowed."
        return Reading(findings=[Finding((), "too-large", message)])
    reading = Reading()
    tree: dict[str, Any] = {}
    for name, value in sorted(labels.items()):
        path = tuple(name.split(".")[1:])
        if len(name) > MAX_LENGTH or (isinstance(value, str) and len(value) > MAX_LENGTH):
            reading.refuse(
                path[:1], "too-large", f"the label {quotable(name, 40)} is longer than {MAX_LENGTH} characters."
            )
        elif not path:
            SERVICE.read((), value, reading)  # `x-mesh=false`
        elif not _plant(tree, path, value):
            reading.refuse(
                path, "wrong-type", f"the label {quotable(name)} is a value here and a group of labels elsewhere."
            )
    inside = read(SERVICE, tree, catalogs, folder)
    return Reading({**inside.said, **reading.said}, reading.findings + inside.findings)


def _plant(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> bool:
    *groups, leaf = path
    for group in groups:
        inner = tree.setdefault(group, {})
        if not isinstance(inner, dict):
            return False
        tree = inner
    return tree.setdefault(leaf, value) is value


def label_of(path: KeyPath, labels: Mapping[str, Any]) -> str:
    """The name of the label that a path of `read_labels` came from; "" where it is about all of them."""
    for length in range(len(path), 0, -1):
        name = ".".join((PREFIX, *map(str, path[:length])))
        if name in labels:
            return name
        inside = sorted(label for label in labels if label.startswith(f"{name}."))
        if inside:
            return inside[0]
    return PREFIX if PREFIX in labels else ""


@dataclass(frozen=True, slots=True)
class ContainerLabels:
    """What one running container's labels say about its own Compose service."""

    compose_service: str
    container: str
    started: str
    said: Settings = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def sound(self) -> bool:
        return not any(problem.severity is Severity.ERROR for problem in self.problems)


def load_labels(
    workload: Workload,
    known: Collection[str] = (),
    catalogs: Catalogs | None = None,
    folder: Path | None = None,
) -> ContainerLabels | None:
    """Read a workload's labels but for the `known` ones; None where nothing speaks to the mesh.

    What `docker compose run` makes is nobody's endpoint, and its labels may come from a command line: not read.
    """
    labels = {name: value for name, value in mesh_labels(workload.labels).items() if name not in known}
    if not labels or workload.oneoff:
        return None
    reading = read_labels(labels, catalogs, folder)
    subject = f"labels of container {workload.name}"
    problems = problems_of(reading.findings, subject, f"container {workload.name}", lambda _: Place())
    said = settings_of(reading, subject, lambda _: Place(), container=True)
    return ContainerLabels(workload.compose_service, workload.name, workload.started, said, problems)
