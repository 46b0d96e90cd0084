"""A change of the resources, or its taking back, tried on a moment: what would be in force after it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from composemesh.config.difference import Change
from composemesh.config.history import Step, step
from composemesh.config.kinds import Kinds
from composemesh.config.moment import Moment, Resources
from composemesh.config.resources import Resource, ResourceKey
from composemesh.model.problem import Problem
from composemesh.model.snapshot import Snapshot


class Conflict(Exception):
    """Somebody else has changed a resource since its version was read; the message says which, as a sentence."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of it, and what is in force once it is carried out."""

    change: Change
    applied: dict[ResourceKey, Resource]
    step: Step | None
    """What takes it back; None where it takes something back itself, or does nothing."""
    snapshot: Snapshot
    problems: tuple[Problem, ...]


def try_change(
    moment: Moment, asked: Resources, without: Collection[ResourceKey], expect: Mapping[ResourceKey, str]
) -> Tried:
    """Apply what is `asked` and delete what is to go. Raises Conflict where a version is not the one expected."""
    _meet(expect, moment.resources)
    kept = {key: resource for key, resource in moment.applied.items() if key not in without}
    applied = kept | dict(asked)
    change, compiled = moment.changed(applied, asked)
    return Tried(change, applied, step(change, moment.applied, applied), *moment.told(compiled))


def try_undo(moment: Moment, last: Step, kinds: Kinds) -> Tried:
    """Take a step back. Raises CannotUndo."""
    applied = last.taken_back(moment.applied, kinds)
    change, compiled = moment.changed(applied, {key: applied[key] for key, _ in last.left if key in applied})
    return Tried(change, applied, None, *moment.told(compiled))


def _meet(expect: Mapping[ResourceKey, str], resources: Resources) -> None:
    """Raises Conflict."""
    for key, version in expect.items():
        found = resources.get(key)
        if (found.version if found is not None else "") != version:
            happened = "was deleted" if found is None else "has changed" if version else "is there already"
            raise Conflict(f"{key} {happened}: somebody else was faster.")
