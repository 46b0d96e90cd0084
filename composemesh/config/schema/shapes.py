"""The kinds of values that a key can take: each reads a plain value, keeps it, or says what is wrong with it.

A shape is data. Reading a document walks it now; a JSON Schema can be printed from it later. The same shape reads a
YAML value and the text of a label, where everything is text and lists are separated by commas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from composemesh.config.schema.leaves import Port, read_port
from composemesh.config.schema.reading import Finding, Reading, dotted, nearest, show
from composemesh.config.yaml import KeyPath
from composemesh.model.problem import Severity

MAX_ITEMS = 256
"""Ports or networks in one list: each becomes a rule in every namespace."""


class Shape(Protocol):
    """What a key can take."""

    @property
    def wanted(self) -> str:
        """How a message names it: "… must be {wanted}"."""

    def read(self, path: KeyPath, value: Any, reading: Reading) -> None:
        """Put what the value says into the reading, or a Finding. Never raises."""

    def schema(self) -> dict[str, Any]:
        """JSON Schema's words for it, for editors; `read` is more exact."""


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list; in a label, separated by commas."""

    item: Shape

    @property
    def wanted(self) -> str:
        return f"a list, each item {self.item.wanted}"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> None:
        if isinstance(value, str):
            value = [part.strip(" ") for part in value.split(",")]
        if not isinstance(value, list):
            hint = f"Write [{value}]." if isinstance(value, int) and not isinstance(value, bool) else ""
            reading.wrong_type(path, value, self.wanted, hint)
            return
        if len(value) > MAX_ITEMS:
            reading.refuse(
                path, "wrong-value", f"{dotted(path)} has {len(value)} items, and at most {MAX_ITEMS} are allowed."
            )
            return
        items = Reading(findings=reading.findings, catalogs=reading.catalogs, folder=reading.folder)
        for index, item in enumerate(value):
            self.item.read((*path, index), item, items)
        reading.said[path] = tuple(sorted(set(items.said.values())))

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self.item.schema()}


@dataclass(frozen=True, slots=True)
class PortTable:
    """Something for each of a few TCP ports."""

    value: Shape

    @property
    def wanted(self) -> str:
        return f"a mapping from port to {self.value.wanted}"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> None:
        if not isinstance(value, Mapping):
            reading.wrong_type(path, value, self.wanted, 'Write ports: {"9080": http}.')
        elif len(value) > MAX_ITEMS:
            reading.refuse(
                path, "wrong-value", f"{dotted(path)} has {len(value)} entries, and at most {MAX_ITEMS} are allowed."
            )
        else:
            for port, what in value.items():
                if read_port(port) is None:
                    message = f"{dotted(path)} has the key {show(port)}, and each must be {Port().wanted}."
                    reading.refuse((*path, port), "wrong-value", message)
                else:
                    self.value.read((*path, port), what, reading)

    def schema(self) -> dict[str, Any]:
        port = r"^[1-9][0-9]{0,4}$"
        return {"type": "object", "patternProperties": {port: self.value.schema()}, "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class Later:
    """A known word of a later version: named, never silently ignored."""

    wanted: str = "left out for now"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> None:
        message = f"{dotted(path)} is not carried out by this version and changes nothing."
        reading.findings.append(Finding(path, "not-carried-out", message, severity=Severity.WARNING))

    def schema(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, slots=True)
class Key:
    """One word of `x-mesh`: what it takes, and what it means to a person."""

    shape: Shape
    doc: str
    default: str = ""
    """As the reference prints it."""


@dataclass(frozen=True, slots=True)
class Object:
    """A mapping of known keys."""

    keys: Mapping[str, Key]
    wanted: str = "a mapping"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> None:
        if value is None:
            return  # a key with nothing after it, as in a block that is all commented out
        if not isinstance(value, Mapping):
            reading.wrong_type(path, value, self.wanted)
            return
        for word, what in value.items():
            key = self.keys.get(word)
            if key is not None:
                key.shape.read((*path, word), what, reading)
                continue
            hint = nearest(
                word, self.keys, [known for known, key in self.keys.items() if not isinstance(key.shape, Later)]
            )
            within = f" in {dotted(path)}" if path else ""
            reading.refuse((*path, word), "unknown-key", f"unknown key {show(word)}{within}.", hint)

    def schema(self) -> dict[str, Any]:
        properties = {
            word: {**key.shape.schema(), "description": key.doc, **({"default": key.default} if key.default else {})}
            for word, key in self.keys.items()
        }
        return {"type": ["object", "null"], "properties": properties, "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class Switched:
    """An object, or true and false for it as a whole. Kept under the path `meshed`."""

    object: Object
    wanted: str = "true, false or a mapping"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> None:
        if isinstance(value, str) and value.lower() in _SWITCH:
            value = _SWITCH[value.lower()]
        if isinstance(value, bool):
            reading.said[*path, "meshed"] = value
        elif value is None or isinstance(value, Mapping):
            self.object.read(path, value, reading)
        else:
            reading.wrong_type(path, value, self.wanted)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "boolean"}, self.object.schema()]}


_SWITCH = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}
"""Text too: from labels, from `${VARIABLES}`, and because Compose hands on a bare `off` as text."""
