"""The last changes of a running mesh's resources, each with what stood there before it: they can be taken back.

A step is kept as text and not as resources: it is small, it can be counted, and it goes to disk as it is. It also
knows in which version it left each resource. Where one has another by now (a step was lost in a crash, somebody wrote
the file by hand), taking the step back would undo more than its change, and is refused.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
import trio

from composemesh.config.applied import dump
from composemesh.config.difference import Change
from composemesh.config.kinds import KINDS, Kinds
from composemesh.config.resources import Resource, ResourceKey, load_documents
from composemesh.runtime.files import replace

log = structlog.get_logger()

MOST_STEPS = 20
MOST_BYTES = 8 << 20
"""Of all that the steps would bring back. Older ones go first; a change that is larger by itself can't be undone."""

Resources = Mapping[ResourceKey, Resource]


class CannotUndo(Exception):
    """There is no step to take back, or it is not the one that was meant; the message says which, as a sentence."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change that was carried out."""

    id: str
    time: str
    """UTC, as RFC 3339 has it."""
    created: tuple[ResourceKey, ...]
    configured: tuple[ResourceKey, ...]
    deleted: tuple[ResourceKey, ...]
    before: str
    """The applied documents that the change replaced or took out."""
    left: tuple[tuple[ResourceKey, str], ...]
    """Every resource that the change touched, and the version that it has since: empty where it was taken out."""

    def taken_back(self, applied: Resources, kinds: Kinds = KINDS) -> dict[ResourceKey, Resource]:
        """The applied resources without this change. Raises CannotUndo where another came after it."""
        for key, version in self.left:
            found = applied.get(key)
            if (found.version if found is not None else "") != version:
                raise CannotUndo(f"{key} was changed since, and not by a change that is known.")
        resources, _ = load_documents(self.before, "undo", kinds=kinds, max_bytes=MOST_BYTES)
        touched = {key for key, _ in self.left}
        kept = {key: resource for key, resource in applied.items() if key not in touched}
        return kept | {resource.key: resource for resource in resources}


def step(change: Change, before: Resources, after: Resources) -> Step | None:
    """What a change did to the applied resources; None where it did nothing."""
    touched = [key for key in dict.fromkeys([*before, *after]) if _said(before, key) != _said(after, key)]
    if not touched:
        return None
    left = tuple((key, after[key].version if key in after else "") for key in touched)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    text = dump(before[key] for key in touched if key in before)
    return Step(secrets.token_hex(8), now, change.created, change.configured, change.deleted, text, left)


def _said(resources: Resources, key: ResourceKey) -> object:
    return resources[key].document if key in resources else None


class History:
    """The steps, oldest first. Without a path they live as long as the process."""

    def __init__(self, path: Path | None = None) -> None:
        self.steps: list[Step] = []
        self._path = path

    def __repr__(self) -> str:
        return f"<History {len(self.steps)} steps>"

    def load(self) -> None:
        """Take what an earlier process kept; what cannot be read is as good as none. Blocks."""
        try:
            said = [] if self._path is None else json.loads(self._path.read_text(encoding="utf-8"))
            self.steps = [_step(one) for one in said]
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError) as problem:
            log.warning("changes before the start can't be undone", file=str(self._path), problem=repr(problem))

    def newest(self, wanted: str = "") -> Step:
        """The step to take back. Raises CannotUndo where there is none, or it is not the one that is `wanted`."""
        if not self.steps:
            raise CannotUndo("There is no change to take back.")
        if wanted not in ("", self.steps[-1].id):
            raise CannotUndo("This is not the last change any more.")
        return self.steps[-1]

    def followed_by(self, one: Step | None) -> list[Step]:
        """The steps as they are after a change. One that is too large to be kept leaves nothing to take back."""
        steps = [*self.steps, one][-MOST_STEPS:] if one is not None else self.steps
        while sum(len(each.before) for each in steps) > MOST_BYTES:
            steps = steps[1:]
        return steps

    async def keep(self, steps: list[Step]) -> None:
        """Have these steps, and write them down. A disk that does not take them costs what a restart would find."""
        if steps is self.steps:
            return
        self.steps = steps
        if self._path is None:
            return
        try:
            await trio.to_thread.run_sync(_write, self._path, steps)
        except OSError as problem:
            log.warning("changes can't be undone after a restart", file=str(self._path), problem=problem.strerror)


def _write(path: Path, steps: list[Step]) -> None:
    replace(path, json.dumps([asdict(one) for one in steps], ensure_ascii=False))


def _step(said: Mapping[str, object]) -> Step:
    """Raises KeyError, TypeError and ValueError for what is no step."""
    left = tuple((ResourceKey(*key), version) for key, version in said["left"])  # type: ignore[attr-defined]
    created, configured, deleted = (_keys(said[word]) for word in ("created", "configured", "deleted"))
    return Step(str(said["id"]), str(said["time"]), created, configured, deleted, str(said["before"]), left)


def _keys(said: object) -> tuple[ResourceKey, ...]:
    assert isinstance(said, Iterable)
    return tuple(ResourceKey(*key) for key in said)
