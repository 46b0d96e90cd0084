"""Istio's messages as tables of fields: one table reads a document, explains it, and prints its JSON Schema.

What the tables cannot say (that a redirect has no route beside it) is said by the kind that owns them. A field's fate
is part of its row, so no field is taken in silence: it is carried out, or a finding names it.
"""

from __future__ import annotations

import difflib
import enum
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from composemesh.config.schema.reading import Finding, Reading, dotted, show
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


class Type(Protocol):
    """What a field can take."""

    @property
    def wanted(self) -> str:
        """How a message names it: "… must be {wanted}"."""

    def read(self, path: KeyPath, value: Any, reading: Reading) -> Any:
        """The value as the model has it, or None and a finding. Never raises."""

    def schema(self) -> dict[str, Any]:
        """JSON Schema's words for it."""


class Fate(enum.StrEnum):
    """What becomes of a field."""

    CARRIED_OUT = "carried out"
    DEPRECATED = "carried out, with a warning"
    """There is a newer form, which the note names."""
    LATER = "accepted with a warning"
    """Its shape is checked; this version does not carry it out."""
    WITHOUT_EFFECT = "accepted with a note"
    """It means something in Kubernetes only; the note says what is the case here."""
    REFUSED = "refused"
    """Istio refuses it too."""


@dataclass(frozen=True, slots=True)
class Field:
    """One row: what the field takes, and what becomes of it."""

    type: Type
    doc: str
    fate: Fate = Fate.CARRIED_OUT
    note: str = ""
    """The newer form of a deprecated field; why another has no effect, or is refused."""
    required: bool = False


def later(type_: Type, doc: str) -> Field:
    return Field(type_, doc, Fate.LATER)


def deprecated(type_: Type, doc: str, instead: str) -> Field:
    return Field(type_, doc, Fate.DEPRECATED, instead)


def without_effect(type_: Type, doc: str, why: str) -> Field:
    return Field(type_, doc, Fate.WITHOUT_EFFECT, why)


def refused(type_: Type, doc: str, why: str) -> Field:
    return Field(type_, doc, Fate.REFUSED, why)


def required(type_: Type, doc: str) -> Field:
    return Field(type_, doc, required=True)


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
            if not _judge((*path, word), field, reading):
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
        return nearest_word(word, words)

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


def _judge(path: KeyPath, field: Field, reading: Reading) -> bool:
    """Say what becomes of a field; whether its value is to be kept."""
    if field.fate is Fate.CARRIED_OUT:
        return True
    name = dotted(path)
    if field.fate is Fate.REFUSED:
        reading.refuse(path, "refused-field", f"{name} is not supported: {field.note}")
        return False
    if field.fate is Fate.DEPRECATED:
        code, message, severity = "deprecated-field", f"{name} is deprecated.", Severity.WARNING
        hint = field.note
    elif field.fate is Fate.LATER:
        code, severity, hint = "not-carried-out", Severity.WARNING, ""
        message = f"{name} is not carried out by this version and changes nothing."
    else:
        code, message, severity, hint = "without-effect", f"{name} has no effect: {field.note}", Severity.INFO, ""
    reading.findings.append(Finding(path, code, message, hint, severity))
    return field.fate is Fate.DEPRECATED


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


def nearest_word(word: str, words: Collection[str]) -> str:
    """A hint that names the nearest right word, or all of them."""
    plain = {_plain(known): known for known in words}
    close = difflib.get_close_matches(_plain(word[:80]), plain, n=1)
    return f"Did you mean `{plain[close[0]]}`?" if close else f"Use one of {', '.join(words)}."


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")


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
