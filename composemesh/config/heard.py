"""Who is heard: the layers in which settings are said, and Compose services that speak for one mesh service.

Precedence, weakest first: service block · labels of running containers · labels in the Compose files. The last two
are the same labels before and after an edit, and the file is the newer of the two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from composemesh.config.loaders.compose import ComposeDocument
from composemesh.config.loaders.labels import ContainerLabels
from composemesh.config.loaders.said import Said, Settings
from composemesh.config.short import OF_A_SERVICE
from composemesh.config.yaml import KeyPath
from composemesh.model.problem import Problem, Severity, quotable


def said_value(said: Settings, path: str, default: Any) -> Any:
    """What is said under a dotted path, or the default."""
    entry = said.get(tuple(path.split(".")))
    return default if entry is None else entry.value


def agreed_labels(containers: Iterable[ContainerLabels], problems: list[Problem]) -> dict[str, dict[KeyPath, Said]]:
    """The labels of each Compose service's containers; where they differ, no newcomer overrules an older one."""
    agreed: dict[str, dict[KeyPath, Said]] = {}
    unsound = set()
    for labels in sorted(containers, key=lambda labels: (labels.started, labels.container)):
        problems += labels.problems
        if not labels.sound:
            unsound.add(labels.compose_service)
        said = agreed.setdefault(labels.compose_service, dict(labels.said))
        for path, newer in labels.said.items():
            older = said.setdefault(path, newer)
            if older.value != newer.value:
                problems.append(_difference(labels, path, older))
    return {name: said for name, said in agreed.items() if name not in unsound}


def _difference(labels: ContainerLabels, path: KeyPath, older: Said) -> Problem:
    message = (
        f"labels of container {labels.container}: `{_dotted(path)}` differs from the {older.subject}, which counts."
    )
    hint = "Recreate the containers of the service."
    return Problem(Severity.WARNING, "labels-differ", message, hint, resource=f"container {labels.container}")


def merged(document: ComposeDocument, labels: Mapping[str, Settings]) -> Mapping[str, Settings]:
    """All that is said of each Compose service; the stronger voice where several speak."""
    all_said: dict[str, dict[KeyPath, Said]] = {}
    for layer in (document.blocks, labels, document.labels):
        for name, said in layer.items():
            if said:
                all_said.setdefault(name, {}).update(said)
    return dict(sorted(all_said.items()))


def members_of(services: Mapping[str, Settings], versions: Mapping[str, str]) -> dict[str, list[str]]:
    """Compose services by the mesh service that they say they are; unsaid, the one of `versions`, else itself."""
    members: dict[str, list[str]] = defaultdict(list)
    for name, said in services.items():
        members[said_value(said, "service", versions.get(name, name))].append(name)
    return members


def disputes(services: Mapping[str, Settings], versions: Mapping[str, str]) -> tuple[list[Problem], set[str]]:
    """Settings of one mesh service that differ in two places; the Compose services whose containers' labels do.

    A version, an exclusion and `false` are each Compose service's own: see OF_A_SERVICE.
    """
    problems, degraded = [], set()
    for service, names in members_of(services, versions).items():
        heard: dict[KeyPath, tuple[str, Said]] = {}
        for name in names:
            for path, said in services[name].items():
                if path[0] not in OF_A_SERVICE:
                    continue
                other, first = heard.setdefault(path, (name, said))
                if first.value == said.value:
                    continue
                problems.append(_conflict(service, path, first, said))
                degraded |= {owner for owner, one in ((other, first), (name, said)) if one.container}
    return problems, degraded


def _conflict(service: str, path: KeyPath, first: Said, second: Said) -> Problem:
    if first.container and not second.container:
        first, second = second, first
    message = f"service {quotable(service)}: `{_dotted(path)}` is {_shown(first)}, but {_shown(second)}."
    if second.container:
        message += " The container's labels are left out."
    hint, resource = "Say the same in both places, or in one only.", f"service {quotable(service)}"
    place = second.place
    return Problem(
        Severity.ERROR, "conflicting-settings", message, hint, place.file, place.line, place.column, resource
    )


def _shown(said: Said) -> str:
    where = f" ({said.place})" if said.place.file else ""
    return f"{said.value} by {said.subject}{where}"


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))
