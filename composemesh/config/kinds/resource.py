"""One configuration object, as somebody wrote it: what `apply` keeps, `get` prints and the kinds compile."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from composemesh.config.yaml import Document, KeyPath, Mark
from composemesh.model.origin import Origin

if TYPE_CHECKING:
    from composemesh.config.kinds.kind import Kind
    from composemesh.runtime.failures import Failures

NO_PLACES = Document(None)


class ResourceKey(NamedTuple):
    """What tells one resource from another. All of them belong to the project, whatever namespace they name."""

    group: str
    """`networking.istio.io`; versions of one group are the same resource."""
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Resource:
    """A document of a known kind whose envelope is in order; of its `spec` nothing is known yet."""

    api_version: str
    """With its group: `networking.istio.io/v1`."""
    kind: str
    name: str
    namespace: str
    """As written; empty where none is."""
    document: Mapping[str, Any]
    """As written, `apiVersion` to `spec`: plain values."""
    origin: Origin
    means: Kind = field(repr=False, compare=False)
    """What its kind is: who compiles it needs no table of kinds."""
    source: Document = field(default=NO_PLACES, repr=False, compare=False)
    """The YAML document that it stands in, for the places."""
    at: KeyPath = field(default=(), repr=False, compare=False)
    """Where in that document: empty, or an item of a List."""
    text: str = field(default="", repr=False, compare=False)
    """As YAML with its comments, as somebody wrote it; empty for JSON and for an item of a List."""
    text_line: int = field(default=1, repr=False, compare=False)
    """The line of the file on which that text begins."""
    memory: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    """What the compiler found it to mean: it goes as the resource goes, and an edit compiles only what is new."""
    failures: Failures | None = field(default=None, repr=False, compare=False)
    """Of its kind, where a plugin brings that along."""

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    @property
    def key(self) -> ResourceKey:
        return ResourceKey(self.group, self.kind, self.name)

    @property
    def version(self) -> str:
        """Another one after every edit that says something else: two editors of one resource notice each other."""
        said = json.dumps(self.document, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(said.encode(errors="replace")).hexdigest()[:16]

    def place(self, path: KeyPath) -> Mark:
        """Where a path of the document stands, or its nearest ancestor; line 0 where there are no lines."""
        for length in range(len(path), -1, -1):
            mark = self.source.place((*self.at, *path[:length]))
            if mark is not None:
                return mark
        return Mark(self.origin.line, 1 if self.origin.line else 0)

    def value(self, path: KeyPath) -> Any:
        """What is written at a path; an empty mapping where nothing is."""
        value: Any = self.document
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return {}
        return value

    def origin_at(self, path: KeyPath) -> Origin:
        """The origin of a part of it."""
        return Origin(self.kind, self.name, self.origin.file, self.place(path).line)
