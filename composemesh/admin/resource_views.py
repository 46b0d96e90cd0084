"""Resources and their changes as JSON. Pure, like `views`, whose rule holds: fields may be added, never renamed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from composemesh.admin.views import Json, problem
from composemesh.config.applied import as_yaml
from composemesh.model.problem import Problem, Severity

if TYPE_CHECKING:
    from composemesh.config.difference import Change
    from composemesh.config.history import Step
    from composemesh.config.loaders.compose import Block
    from composemesh.config.resources import Resource, ResourceKey

Resources = Mapping["ResourceKey", "Resource"]


def resource(one: Resource, *, applied: bool, behind: Resource | None) -> Json:
    """A resource in a list. `behind` is that of a file, in whose place an applied one stands."""
    return {
        "kind": one.kind,
        "name": one.name,
        "api_version": one.api_version,
        "applied": applied,
        "file": one.origin.file,
        "line": one.origin.line,
        "version": one.version,
        "overrides": {"file": behind.origin.file, "line": behind.origin.line} if applied and behind else None,
        "document": one.document,
    }


def text_of(one: Resource) -> Json:
    """Its text for an editor, and the line of its file on which that begins."""
    return {"text": one.text or as_yaml(one.document), "text_line": one.text_line if one.text else one.origin.line}


def block(one: Block) -> Json:
    """`x-mesh` of a Compose service, or the mesh's own (`service` is empty)."""
    text = as_yaml({"x-mesh": one.value})
    return {"service": one.service, "file": one.place.file, "line": one.place.line, "text": text}


def change(one: Change, problems: Iterable[Problem] = ()) -> Json:
    """A change and what came of it. `problems` are those of reading its documents."""
    every = (*problems, *one.problems)
    return {
        "accepted": not any(each.severity is Severity.ERROR for each in every),
        "created": _keys(one.created),
        "configured": _keys(one.configured),
        "unchanged": _keys(one.unchanged),
        "deleted": _keys(one.deleted),
        "effects": list(one.effects),
        "problems": [problem(each) for each in every],
    }


def differences(one: Change, before: Resources, asked: Resources) -> list[Json]:
    """The texts of what would change, with a unified diff of each. `asked` are the documents to apply."""
    shown = []
    for key in (*one.created, *one.configured, *one.deleted):
        old, new = (text_of(each[key])["text"] if key in each else "" for each in (before, asked))
        lines = difflib.unified_diff(old.splitlines(), new.splitlines(), f"{key} now", f"{key} then", lineterm="")
        shown.append({"kind": key.kind, "name": key.name, "before": old, "after": new, "diff": "\n".join(lines)})
    return shown


def step(one: Step) -> Json:
    """A change that can be taken back."""
    return {
        "id": one.id,
        "time": one.time,
        "created": _keys(one.created),
        "configured": _keys(one.configured),
        "deleted": _keys(one.deleted),
    }


def _keys(keys: Iterable[ResourceKey]) -> list[Json]:
    return [{"kind": key.kind, "name": key.name} for key in keys]
