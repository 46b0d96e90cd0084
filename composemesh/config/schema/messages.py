"""Istio's messages as tables of fields: one table reads a document, explains it, and prints its JSON Schema.

What the tables cannot say (that a redirect has no route beside it) is said by the kind that owns them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from composemesh.config.schema.fields import Fate, Field, Type, judge
from composemesh.config.schema.reading import Finding, Reading, dotted, nearest, show
from composemesh.config.yaml import KeyPath
from composemesh.model.problem import Severity


class Said(dict[str, Any]):
    """What a message says: its fields' values, converted, and the path where it stands. Unsaid fields are absent."""

    __slots__ = ("path",)

    def __init__(self, path: KeyPath, values: Mapping[str, Any] | None = None) -> None:
        super().__init__(values or {})
        self.path = path

    def at(self, *steps: str | int) -> KeyPath:
        """The path of something in it."""
        return (*self.path, *steps)


ANY = ("*",)


@dataclass(frozen=True, slots=True)
class Message:
    """A mapping of known fields."""

    fields: Mapping[str, Field]
    one_of: tuple[tuple[str, ...], ...] = ()
    """Groups of which at most one field may be said."""
    some_of: tuple[str, ...] = ()
    """Fields of which at least one must be said; `*` for any at all."""
    wanted: str = "a mapping"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> Said | None:
        if not isinstance(value, Mapping):
            reading.wrong_type(path, value, self.wanted)
            return None
        said, written = Said(path), set()
        for word, what in value.items():
            if what is None:
                continue  # a key with nothing after it
            name = self._known(path, word, reading)
            if name is None:
                continue
            written.add(name)
            field = self.fields[name]
            read = field.type.read((*path, word), what, reading)
            if not judge((*path, word), field, reading):
                continue
            if read is not None:
                said[name] = read
        self._whole(path, written, reading)
        return said

    def _known(self, path: KeyPath, word: str, reading: Reading) -> str | None:
        """The field that a key means: itself, or the same word in snake_case, as Istio's older samples have it."""
        if word in self.fields:
            return word
        camel = re.sub(r"_([a-z])", lambda found: found[1].upper(), word)
        if camel in self.fields:
            message = f"{dotted((*path, word))} is an old spelling."
            reading.findings.append(
                Finding((*path, word), "deprecated-field", message, f"Write `{camel}`.", Severity.WARNING)
            )
            return camel
        reading.refuse((*path, word), "unknown-field", f"unknown field {dotted((*path, word))}.", self._hint(word))
        return None

    def _hint(self, word: str) -> str:
        words = [name for name, field in self.fields.items() if field.fate is not Fate.REFUSED]
        return nearest(word, words)

    def _whole(self, path: KeyPath, written: set[str], reading: Reading) -> None:
        for name, field in self.fields.items():
            if field.required and name not in written:
                reading.refuse((*path, name), "missing-field", f"{dotted((*path, name))} is missing.")
        for group in self.one_of:
            both = [name for name in group if name in written]
            if len(both) > 1:
                listed = " and ".join(f"`{name}`" for name in both)
                message = f"{dotted(path)} has {listed}, and may have only one of them."
                reading.refuse((*path, both[1]), "conflicting-fields", message)
        names = tuple(self.fields) if self.some_of == ANY else self.some_of
        if names and not written.intersection(names):
            how = "is empty" if not written else "says nothing"
            hint = f"Say one of {', '.join(name for name in names if self.fields[name].fate is not Fate.REFUSED)}."
            reading.refuse(path, "missing-field", f"{dotted(path)} {how}.", hint)

    def schema(self) -> dict[str, Any]:
        properties = {}
        for name, field in self.fields.items():
            if field.fate is Fate.REFUSED:
                continue
            properties[name] = {**field.type.schema(), "description": field.doc}
            if field.fate is Fate.DEPRECATED:
                properties[name]["deprecated"] = True
        needed = [name for name, field in self.fields.items() if field.required]
        return {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
            **({"required": needed} if needed else {}),
            **({"minProperties": 1} if self.some_of == ANY else {}),
        }


@dataclass(frozen=True, slots=True)
class Repeated:
    """A list; its order is kept."""

    item: Type
    at_least: int = 0

    @property
    def wanted(self) -> str:
        return f"a list, each item {self.item.wanted}"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> tuple[Any, ...] | None:
        if not isinstance(value, list):
            hint = "Begin it with `- `." if isinstance(value, Mapping) else f"Write [{show(value)}]."
            reading.wrong_type(path, value, self.wanted, hint)
            return None
        if len(value) < self.at_least:
            reading.refuse(path, "missing-field", f"{dotted(path)} is empty, and needs an item.")
        items = [self.item.read((*path, index), item, reading) for index, item in enumerate(value)]
        return tuple(item for item in items if item is not None)

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self.item.schema(), **({"minItems": 1} if self.at_least else {})}


@dataclass(frozen=True, slots=True)
class Table:
    """Something by name, where the names are the author's own."""

    value: Type
    name: Type | None = None
    """What a name must be; None for any text."""
    wanted: str = "a mapping"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> Said | None:
        if not isinstance(value, Mapping):
            reading.wrong_type(path, value, self.wanted)
            return None
        said = Said(path)
        for word, what in value.items():
            name = word if self.name is None else self.name.read((*path, word), word, reading)
            read = self.value.read((*path, word), what, reading)
            if name is not None and read is not None:
                said[name] = read
        return said

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": self.value.schema()}


@dataclass(frozen=True, slots=True)
class Anything:
    """Whatever somebody writes: of a kind that is not carried out."""

    wanted: str = "anything"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> Any:
        return value

    def schema(self) -> dict[str, Any]:
        return {}


def rows(message: Message, within: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Field]]:
    """Every field of a message, and those in the ones that are carried out, with its path; lists have no step."""
    for name, field in message.fields.items():
        path = (*within, name)
        yield path, field
        inner = field.type
        while isinstance(inner, Repeated | Table):
            inner = inner.item if isinstance(inner, Repeated) else inner.value
        if isinstance(inner, Message) and field.fate in (Fate.CARRIED_OUT, Fate.DEPRECATED):
            yield from rows(inner, path)
