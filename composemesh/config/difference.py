"""What a change of the configuration would change: resources by name, and what traffic would notice. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from composemesh.config.resources import Resource, ResourceKey
from composemesh.model.origin import Origin
from composemesh.model.problem import Problem, Severity
from composemesh.model.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Change:
    """A change that was asked for, and what came of it."""

    created: tuple[ResourceKey, ...] = ()
    configured: tuple[ResourceKey, ...] = ()
    """There before, and different now."""
    unchanged: tuple[ResourceKey, ...] = ()
    deleted: tuple[ResourceKey, ...] = ()
    effects: tuple[str, ...] = ()
    """What traffic notices, e.g. `routes of reviews`."""
    problems: tuple[Problem, ...] = ()
    """Of the configuration as it would be."""

    @property
    def accepted(self) -> bool:
        """Whether it may be carried out."""
        return not any(problem.severity is Severity.ERROR for problem in self.problems)


def difference(
    before: Mapping[ResourceKey, Resource], after: Mapping[ResourceKey, Resource], asked: Collection[ResourceKey]
) -> Change:
    """The change from one set of resources to another, of which `asked` were to be applied."""
    return Change(
        created=tuple(key for key in after if key not in before),
        configured=tuple(key for key, new in after.items() if key in before and before[key].document != new.document),
        unchanged=tuple(key for key in asked if key in before and before[key].document == after[key].document),
        deleted=tuple(key for key in before if key not in after),
    )


def effects(before: Snapshot, after: Snapshot) -> tuple[str, ...]:
    """What traffic notices of a change from one snapshot to another."""
    return (
        *_changed("routes of", _routes(before), _routes(after)),
        *_changed("policy of", before.policies, after.policies),
        *_changed("gateway", before.gateways, after.gateways),
        *_changed("entry", _entries(before), _entries(after)),
        *_changed("reach of", {"sidecars": before.scopes}, {"sidecars": after.scopes}),
        *_changed("settings of", {"the mesh": before.mesh}, {"the mesh": after.mesh}),
        *_changed("settings of", before.services, after.services),
    )


def _changed(what: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if old != new and _unplaced(old) != _unplaced(new):
            yield f"{what} {name}"


def _unplaced(value: Any) -> Any:
    """A value of the model without where it was written: a moved line is no change."""
    if isinstance(value, Origin):
        return None
    if is_dataclass(value):
        return [type(value), *(_unplaced(getattr(value, field.name)) for field in fields(value))]
    if isinstance(value, Mapping):
        return {key: _unplaced(item) for key, item in value.items()}
    return [_unplaced(item) for item in value] if isinstance(value, (tuple, list)) else value


def _routes(snapshot: Snapshot) -> dict[str, Any]:
    """By host, everything that decides over its requests."""
    routes: dict[str, Any] = {}
    for virtual in snapshot.virtual_hosts:
        for host in virtual.hosts:
            routes.setdefault(host, []).append((virtual.gateways, virtual.http, virtual.tls, virtual.tcp))
    return routes


def _entries(snapshot: Snapshot) -> dict[str, Any]:
    return {host: entry for entry in snapshot.entries for host in entry.hosts}
