"""Forms that values of `x-mesh` may take and Istio's may not.

People take two liberties in Compose files: a single thing may stand where a list of them may, and what looks like a
number may be text, because labels and `${VARIABLES}` are text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from composemesh.config.schema.fields import Type
from composemesh.config.schema.messages import Message, Said
from composemesh.config.schema.reading import Finding, Reading
from composemesh.config.schema.scalars import ANY_TEXT, Regex
from composemesh.config.yaml import KeyPath
from composemesh.model.policy import HashKey
from composemesh.model.route import MatchKind, StringMatch


@dataclass(frozen=True, slots=True)
class Either:
    """A word or a number in the place of a mapping, or the mapping."""

    short: Type
    word: str
    """The field that the short form says."""
    long: Message

    @property
    def wanted(self) -> str:
        return f"{self.short.wanted}, or {self.long.wanted}"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> Said | None:
        if isinstance(value, Mapping):
            return self.long.read(path, value, reading)
        read = self.short.read(path, value, reading)
        return None if read is None else Said(path, {self.word: read})

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.short.schema(), self.long.schema()]}


@dataclass(frozen=True, slots=True)
class Some:
    """One or a list; in a label, separated by commas."""

    item: Type

    @property
    def wanted(self) -> str:
        return f"{self.item.wanted}, or a list of these"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> tuple[Any, ...]:
        if isinstance(value, str) and "," in value:
            value = [part.strip() for part in value.split(",")]
        if not isinstance(value, list):
            read = self.item.read(path, value, reading)
            return () if read is None else (read,)
        items = (self.item.read((*path, index), item, reading) for index, item in enumerate(value))
        return tuple(item for item in items if item is not None)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.item.schema(), {"type": "array", "items": self.item.schema()}]}


@dataclass(frozen=True, slots=True)
class Match:
    """A comparison: text alone is `bare`, and `{exact: …}`, `{prefix: …}`, `{regex: …}` say which."""

    bare: MatchKind = MatchKind.EXACT
    prefix: MatchKind = MatchKind.PREFIX
    wanted: str = "text, or one of {exact: …}, {prefix: …} or {regex: …}"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> StringMatch | None:
        if value is True:
            return StringMatch(MatchKind.PRESENT)
        if isinstance(value, int | float):
            value = str(value)
        if isinstance(value, str):
            return StringMatch(self.bare, value)
        kinds = {"exact": MatchKind.EXACT, "prefix": self.prefix, "regex": MatchKind.REGEX}
        if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in kinds:
            reading.wrong_type(path, value, self.wanted)
            return None
        ((kind, text),) = value.items()
        type_: Type = Regex() if kind == "regex" else ANY_TEXT
        read = type_.read((*path, kind), text, reading)
        return None if read is None else StringMatch(kinds[kind], read)

    def schema(self) -> dict[str, Any]:
        long = {name: {"type": "string"} for name in ("exact", "prefix", "regex")}
        return {
            "anyOf": [{"type": ["string", "boolean"]}, {"type": "object", "properties": long, "maxProperties": 1}]
        }


@dataclass(frozen=True, slots=True)
class Hash:
    """`header:NAME`, `cookie:NAME`, `query:NAME` or `source_ip`."""

    wanted: str = "header:NAME, cookie:NAME, query:NAME or source_ip"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> tuple[HashKey, str] | None:
        said = re.fullmatch(r"(header|cookie|query):([-!#$%&'*+.^_`|~0-9a-zA-Z]+)|source_ip", str(value))
        if said is None:
            reading.wrong_value(path, value, self.wanted)
            return None
        return (HashKey(said[1]), said[2]) if said[1] else (HashKey.SOURCE_IP, "")

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class Listen:
    """`HOST:PORT`, or a port alone for all addresses of the host."""

    wanted: str = "HOST:PORT, or a port of all addresses"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> tuple[str, int] | None:
        """The IP address to bind, empty for all, and the port."""
        said = _LISTEN.fullmatch(str(value)) if isinstance(value, str | int) else None
        if said is None or int(said["port"]) > 65535:
            reading.wrong_value(path, value, self.wanted, "Write 0.0.0.0:8080.")
            return None
        host = (said["host"] or "").strip("[]")
        return {"localhost": "127.0.0.1", "0.0.0.0": ""}.get(host, host), int(said["port"])

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "integer"]}


_LISTEN = re.compile(r"(?:(?P<host>[0-9.]+|\[[0-9A-Fa-f:.]+\]|localhost):)?(?P<port>[1-9][0-9]{0,4})")


# === as keys of x-mesh ===


@dataclass(frozen=True, slots=True)
class Whole:
    """A table's value, as a key of `x-mesh`. Kept as it is under the key's path."""

    type: Type

    @property
    def wanted(self) -> str:
        return self.type.wanted

    def read(self, path: KeyPath, value: Any, reading: Reading) -> None:
        if value is None:
            return
        attempt = _attempt(self.type, path, value, reading)
        if attempt.findings and (other := _attempt(self.type, path, _plain(value), reading)).errors < attempt.errors:
            attempt = other
        reading.findings += attempt.findings
        if not attempt.errors:
            reading.said |= attempt.said

    def schema(self) -> dict[str, Any]:
        return self.type.schema()


@dataclass(frozen=True, slots=True)
class Each:
    """A list, whose items are kept one by one: each has its own line."""

    item: Type

    @property
    def wanted(self) -> str:
        return f"a list, each item {self.item.wanted}"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> None:
        if value is None:
            return
        if not isinstance(value, list):
            reading.wrong_type(path, value, self.wanted, "Begin each item with `-`.")
            return
        for index, item in enumerate(value):
            Whole(self.item).read((*path, index), item, reading)

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self.item.schema()}


class _Attempt:
    def __init__(self, said: dict[KeyPath, Any], findings: list[Finding]) -> None:
        self.said = said
        self.findings = findings

    @property
    def errors(self) -> int:
        return sum(finding.severity.value == "error" for finding in self.findings)


def _attempt(type_: Type, path: KeyPath, value: Any, within: Reading) -> _Attempt:
    reading = Reading(catalogs=within.catalogs, folder=within.folder)
    read = type_.read(path, value, reading)
    return _Attempt({} if read is None else {path: read}, reading.findings)


_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")


def _plain(value: Any) -> Any:
    """Texts that look like numbers or switches, as these."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        if value in ("true", "false"):
            return value == "true"
        if said := _NUMBER.fullmatch(value):
            return float(value) if said[1] else int(value)
        if "," in value and all(_NUMBER.fullmatch(part.strip()) for part in value.split(",")):
            return [_plain(part.strip()) for part in value.split(",")]
    return value
