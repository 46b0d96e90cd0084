"""Settings → Snapshot. Pure and total: whatever was said, there is a snapshot, and a Problem for what is not in it.

Precedence, weakest first: service block · labels of running containers · labels in the Compose files. The last two
are the same labels before and after an edit, and the file is the newer of the two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from composemesh.config.loaders.compose import ComposeDocument
from composemesh.config.loaders.labels import ContainerLabels
from composemesh.config.loaders.said import Said, Settings
from composemesh.config.resources import Resource, compile_resources
from composemesh.config.shorthand import OF_A_SERVICE, compile_short
from composemesh.config.yaml import KeyPath, quotable
from composemesh.model.policy import DestinationPolicy, TrafficPolicy
from composemesh.model.problem import Problem, Severity
from composemesh.model.snapshot import Exclude, MeshSettings, ServiceSettings, Snapshot
from composemesh.model.workload import Workload

NOTHING = ComposeDocument()


def compile_mesh(
    project: str,
    document: ComposeDocument = NOTHING,
    containers: Iterable[ContainerLabels] = (),
    resources: Iterable[Resource] = (),
    workloads: Iterable[Workload] = (),
) -> tuple[Snapshot, tuple[Problem, ...]]:
    """The mesh as its documents configure it, and everything wrong with them.

    Errors with a file mean that the documents are to be rejected whole: see `rejected`. An error without a file is
    about a container's labels: they are left out of the snapshot, and no other service is touched. `workloads` are
    those that run: rules may name their services.
    """
    problems = list(document.problems)
    labels = _agreed(containers, problems)
    services = _merged(document, labels)
    disputes, degraded = _disputes(services)
    problems += disputes
    if degraded:
        services = _merged(document, {name: said for name, said in labels.items() if name not in degraded})
    snapshot = Snapshot(project, _mesh(document.mesh), _services(services), document.services)
    running = tuple(workloads)
    compiled = compile_resources(resources, project, _names(snapshot, document, running))
    short = compile_short(document.mesh, _spoken_of(services), _ports(snapshot, running))
    return (
        replace(
            snapshot,
            virtual_hosts=(*compiled.virtual_hosts, *short.virtual_hosts),
            policies=_both(short.policies, compiled.policies),
            entries=(*compiled.entries, *short.entries),
            scopes=compiled.scopes,
            gateways={**short.gateways, **compiled.gateways},
        ),
        (*problems, *short.problems, *compiled.problems),
    )


def _both(
    short: Mapping[str, DestinationPolicy], long: Mapping[str, DestinationPolicy]
) -> dict[str, DestinationPolicy]:
    """Policies of both dialects. A DestinationRule counts first; what it leaves unsaid, `x-mesh` may say."""
    both = {**short, **long}
    for host in short.keys() & long.keys():
        ours, theirs = short[host], long[host]
        policy = TrafficPolicy(
            theirs.policy.balance or ours.policy.balance,
            theirs.policy.connections or ours.policy.connections,
            theirs.policy.outliers or ours.policy.outliers,
            theirs.policy.proxy_protocol,
        )
        both[host] = replace(theirs, policy=policy, subsets={**ours.subsets, **theirs.subsets})
    return both


def _spoken_of(services: Mapping[str, Settings]) -> dict[str, Settings]:
    """What is said of each mesh service as a whole, by any of its Compose services."""
    return {
        name: {path: said for member in members for path, said in services[member].items() if path[0] in OF_A_SERVICE}
        for name, members in _members(services).items()
    }


def _ports(snapshot: Snapshot, workloads: Iterable[Workload]) -> dict[str, list[int]]:
    """The ports that each mesh service is known to have: those that somebody declared, else its images'."""
    exposed: dict[str, set[int]] = defaultdict(set)
    for workload in workloads:
        settings = snapshot.settings_of(workload)
        exposed[settings.service].update(settings.ports or workload.ports)
    for name, settings in snapshot.services.items():
        if settings.ports:
            exposed[settings.service or name] = set(settings.ports)
    return {name: sorted(ports) for name, ports in exposed.items()}


def rejected(document: ComposeDocument, resources: Iterable[Resource] = ()) -> tuple[Problem, ...]:
    """All Problems of documents that must not be applied; empty where they may be."""
    _, problems = compile_mesh("", document, (), resources)
    return problems if any(problem.severity is Severity.ERROR for problem in problems) else ()


def _names(snapshot: Snapshot, document: ComposeDocument, workloads: Iterable[Workload]) -> frozenset[str]:
    """Every name by which a service of the project can be called."""
    said = {settings.service for settings in snapshot.services.values() if settings.service}
    running = {snapshot.settings_of(workload).service for workload in workloads}
    return frozenset({*said, *running, *document.services})


# === who is heard ===


def _agreed(containers: Iterable[ContainerLabels], problems: list[Problem]) -> dict[str, dict[KeyPath, Said]]:
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


def _merged(document: ComposeDocument, labels: Mapping[str, Settings]) -> Mapping[str, Settings]:
    merged: dict[str, dict[KeyPath, Said]] = {}
    for layer in (document.blocks, labels, document.labels):
        for name, said in layer.items():
            if said:
                merged.setdefault(name, {}).update(said)
    return dict(sorted(merged.items()))


# === Compose services that are one mesh service ===


def _members(services: Mapping[str, Settings]) -> dict[str, list[str]]:
    """Compose services by the mesh service that they say they are; unsaid, a service is itself."""
    members: dict[str, list[str]] = defaultdict(list)
    for name, said in services.items():
        members[_value(said, "service", name)].append(name)
    return members


def _disputes(services: Mapping[str, Settings]) -> tuple[list[Problem], set[str]]:
    """Settings of one mesh service that differ in two places; the Compose services whose containers' labels do.

    A version, an exclusion and `false` are each Compose service's own: see OF_A_SERVICE.
    """
    problems, degraded = [], set()
    for service, names in _members(services).items():
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


# === what was said → the model ===


def _mesh(said: Settings) -> MeshSettings:
    default = MeshSettings()
    host, port = _value(said, "admin", (default.admin_host, default.admin_port))
    return MeshSettings(
        capture=_value(said, "capture", default.capture),
        exclude=_exclude(said),
        admin_host=host,
        admin_port=port,
        access_log=_value(said, "access_log", default.access_log),
        egress=_value(said, "egress", default.egress),
    )


def _services(services: Mapping[str, Settings]) -> dict[str, ServiceSettings]:
    members = _members(services)
    return {
        name: _service(said, _shared(services, members[_value(said, "service", name)]))
        for name, said in services.items()
    }


def _shared(services: Mapping[str, Settings], members: Sequence[str]) -> dict[KeyPath, Said]:
    """What the members of a mesh service say about it for each other. Labels speak for their own service only."""
    return {
        path: said
        for name in members
        for path, said in services[name].items()
        if path[0] == "ports" and not said.container
    }


def _service(said: Settings, shared: Settings) -> ServiceSettings:
    ports = {int(path[1]): entry.value for path, entry in {**shared, **said}.items() if path[0] == "ports"}
    return ServiceSettings(
        service=_value(said, "service", ""),
        version=_value(said, "version", ""),
        meshed=_value(said, "meshed", True),
        ports=dict(sorted(ports.items())),
        exclude=_exclude(said),
    )


def _exclude(said: Settings) -> Exclude:
    return Exclude(_value(said, "exclude.ports", ()), _value(said, "exclude.cidrs", ()))


def _value(said: Settings, path: str, default: Any) -> Any:
    entry = said.get(tuple(path.split(".")))
    return default if entry is None else entry.value


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))
