"""Resources that were applied to the running mesh, kept in one file of the state folder for its next start."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import trio
import yaml

from composemesh.config.kinds import KINDS, Kinds
from composemesh.config.resources import Resource, ResourceKey, load_documents
from composemesh.config.yaml import parse
from composemesh.model.problem import Problem
from composemesh.runtime.files import replace

MAX_BYTES = 64 << 20
"""Many small files may have been applied, each within the limit of one."""
HEADER = "# What `composemesh apply` put in force. `composemesh delete` takes it out again.\n"


class Applied:
    """The applied resources by key. Without a path they live as long as the process."""

    def __init__(self, path: Path | None = None, kinds: Kinds = KINDS) -> None:
        self.path = path
        self._kinds = kinds
        self.resources: dict[ResourceKey, Resource] = {}
        self._unread = False
        """Whether the file holds something that was not understood, which must not be written over."""

    def __repr__(self) -> str:
        return f"<Applied {len(self.resources)} resources>"

    def load(self) -> tuple[Problem, ...]:
        """Take what an earlier process kept; what cannot be read is a Problem, and is never lost. Blocks."""
        try:
            text = b"" if self.path is None else self.path.read_bytes()
        except FileNotFoundError:
            return ()
        resources, problems = load_documents(text, str(self.path), kinds=self._kinds, max_bytes=MAX_BYTES)
        self.resources = {resource.key: resource for resource in resources}
        self._unread = bool(problems)
        return tuple(problems)

    async def keep(self) -> None:
        """Write the resources down. Raises OSError, and has left the file as it was then."""
        if self.path is not None:
            await trio.to_thread.run_sync(self._write, self.path, self.resources)

    def _write(self, path: Path, resources: Mapping[ResourceKey, Resource]) -> None:
        if self._unread:
            path.replace(path.with_name(f"{path.name}.unread"))
            self._unread = False
        replace(path, HEADER + dump(resources.values()), durable=True)


def dump(resources: Iterable[Resource]) -> str:
    """Resources as YAML documents: as they were written, or in JSON, because YAML takes a hundred times as long."""
    return "".join(f"---\n{one.text or json.dumps(one.document, ensure_ascii=False)}\n" for one in resources)


def as_yaml(value: Any) -> str:
    """A plain value as YAML that people edit, and that says the same to us."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    # PyYAML's quotes follow YAML 1.1, and a few plain words mean something else to us (`1e3`).
    told = parse(text).documents
    if len(told) == 1 and told[0].value == value:
        return text
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes out what is said twice, where PyYAML would put an anchor and an alias."""

    def ignore_aliases(self, data: object) -> bool:
        return True
