"""Settings → Snapshot. Pure and total: whatever was said, there is a snapshot, and a Problem for what is not in it.

Who is heard, where several speak, is decided in `heard`; what Istio's documents mean, in `resources`; the short forms
of `x-mesh`, in `short`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from composemesh.config.analysis import analyse
from composemesh.config.heard import agreed_labels, disputes, members_of, merged, said_value
from composemesh.config.loaders.compose import ComposeDocument
from composemesh.config.loaders.labels import ContainerLabels
from composemesh.config.loaders.said import Said, Settings
from composemesh.config.resources import Resource, compile_resources
from composemesh.config.short import OF_A_SERVICE, compile_short
from composemesh.config.short.filters import filters_of
from composemesh.config.short.published import mdns_of, published
from composemesh.config.yaml import KeyPath
from composemesh.model.listener import ListenerLimits
from composemesh.model.policy import DestinationPolicy, TrafficPolicy
from composemesh.model.problem import Problem, Severity
from composemesh.model.snapshot import (
    AccessLog,
    Exclude,
    MeshSettings,
    Protocol,
    ServiceSettings,
    Snapshot,
    infer_service,
)
from composemesh.model.workload import Kind, Workload

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
    labels = agreed_labels(containers, problems)
    services = merged(document, labels)
    running = tuple(workloads)
    # A container is what it was made as, whatever the files say by now.
    versions = {**document.versions, **{each.compose_service: infer_service(each)[0] for each in running}}
    differing, degraded = disputes(services, versions)
    problems += differing
    if degraded:
        services = merged(document, {name: said for name, said in labels.items() if name not in degraded})
    snapshot = Snapshot(project, _mesh(document.mesh), _services(services, versions), document.services)
    names, ports = _names(snapshot, document, running), _ports(snapshot, running)
    compiled = compile_resources(resources, project, names)
    spoken = _spoken_of(services, versions)
    short = compile_short(document.mesh, spoken, ports, compiled.gateways)
    unpublished: list[Problem] = []
    announced = tuple(published(project, document.mesh, spoken, _own_ports(snapshot, running), unpublished))
    snapshot = replace(
        snapshot,
        virtual_hosts=(*compiled.virtual_hosts, *short.virtual_hosts, *(host for _, _, host in announced)),
        policies=_both(short.policies, compiled.policies),
        entries=(*compiled.entries, *short.entries),
        scopes=compiled.scopes,
        gateways={**{gateway.name: gateway for _, gateway, _ in announced}, **short.gateways, **compiled.gateways},
        publications=tuple(publication for publication, _, _ in announced),
        filters=short.filters,
    )
    called = {name: ports.get(name, ()) for name in names} if names else None
    findings = analyse(snapshot, called, _versions(snapshot, running))
    return snapshot, (*problems, *short.problems, *unpublished, *compiled.problems, *findings)


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


def _spoken_of(services: Mapping[str, Settings], versions: Mapping[str, str]) -> dict[str, Settings]:
    """What is said of each mesh service as a whole, by any of its Compose services."""
    return {
        name: {path: said for member in members for path, said in services[member].items() if path[0] in OF_A_SERVICE}
        for name, members in members_of(services, versions).items()
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


def _own_ports(snapshot: Snapshot, workloads: Sequence[Workload]) -> dict[str, dict[int, Protocol]]:
    """The same of what is the project's own, with what is declared of each port. What was found, others announce."""
    own = [workload for workload in workloads if workload.kind is not Kind.FOUND]
    said: dict[str, Mapping[int, Protocol]] = {}
    for name, settings in snapshot.services.items():
        said[settings.service or name] = settings.ports
    found = {snapshot.settings_of(workload).service for workload in workloads if workload.kind is Kind.FOUND}
    return {
        name: {port: said.get(name, {}).get(port, Protocol.AUTO) for port in ports}
        for name, ports in _ports(snapshot, own).items()
        if name not in found
    }


def _versions(snapshot: Snapshot, workloads: Iterable[Workload]) -> dict[str, set[str]]:
    """The versions of each mesh service of which something runs; also those that are written, and may start yet."""
    known: dict[str, set[str]] = {}
    for workload in workloads:
        settings = snapshot.settings_of(workload)
        known.setdefault(settings.service, set()).add(settings.version)
    for name, settings in snapshot.services.items():
        if settings.version and (settings.service or name) in known:
            known[settings.service or name].add(settings.version)
    return known


def rejected(document: ComposeDocument, resources: Iterable[Resource] = ()) -> tuple[Problem, ...]:
    """All Problems of documents that must not be applied; empty where they may be."""
    _, problems = compile_mesh("", document, (), resources)
    return problems if any(problem.severity is Severity.ERROR for problem in problems) else ()


def _names(snapshot: Snapshot, document: ComposeDocument, workloads: Iterable[Workload]) -> frozenset[str]:
    """Every name by which a service of the project can be called."""
    said = {settings.service for settings in snapshot.services.values() if settings.service}
    running = {snapshot.settings_of(workload).service for workload in workloads}
    return frozenset({*said, *running, *document.services})


# === what was said → the model ===


def _mesh(said: Settings) -> MeshSettings:
    default = MeshSettings()
    host, port = said_value(said, "admin", (default.admin_host, default.admin_port))
    xds_host, xds_port = said_value(said, "xds", (default.xds_host, default.xds_port))
    return MeshSettings(
        capture=said_value(said, "capture", default.capture),
        exclude=_exclude(said),
        admin_host=host,
        admin_port=port,
        xds_host=xds_host,
        xds_port=xds_port,
        sinks=_sinks(said),
        sources={name: it for name, it in said_value(said, "discovery", {}).items() if name != "mdns"},
        egress=said_value(said, "egress", default.egress),
        filters=filters_of("", said),
        listeners=ListenerLimits(**said_value(said, "listeners", {})),
        mdns=mdns_of(said),
    )


def _sinks(said: Settings) -> dict[str, Any]:
    log = said_value(said, "access_log", AccessLog.OFF)
    return {**said_value(said, "sinks", {}), **({} if log is AccessLog.OFF else {"access_log": log})}


def _services(services: Mapping[str, Settings], versions: Mapping[str, str]) -> dict[str, ServiceSettings]:
    members = members_of(services, versions)
    return {
        name: _service(said, _shared(services, members[said_value(said, "service", versions.get(name, name))]))
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
        service=said_value(said, "service", ""),
        version=said_value(said, "version", ""),
        meshed=said_value(said, "meshed", True),
        ports=dict(sorted(ports.items())),
        exclude=_exclude(said),
        proxy_protocol=said_value(said, "proxy_protocol", False),
    )


def _exclude(said: Settings) -> Exclude:
    return Exclude(said_value(said, "exclude.ports", ()), said_value(said, "exclude.cidrs", ()))
