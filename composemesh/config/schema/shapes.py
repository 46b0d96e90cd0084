"""The kinds of values that a key can take: each reads a plain value, keeps it, or says what is wrong with it.

A shape is data. Reading a document walks it now; a JSON Schema can be printed from it later. The same shape reads a
YAML value and the text of a label, where everything is text and lists are separated by commas.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from composemesh.config.schema.reading import Finding, Reading, dotted, nearest, read_address, show
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
class Choice:
    """One word of a few."""

    words: type[enum.StrEnum]
    later: tuple[str, ...] = ()
    """Words that a later version carries out."""

    @property
    def wanted(self) -> str:
        *others, last = [word.value for word in self.words]
        return f"{', '.join(others)} or {last}"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> None:
        known = {word.value: word for word in self.words}
        if value is False and "off" in known:
            value = "off"  # what YAML 1.1 makes of a bare `off`
        if value is True or (isinstance(value, str) and value.lower() in ("on", "yes", "true")):
            reading.wrong_value(path, value, self.wanted, "Say which one you want.")
        elif not isinstance(value, str):
            reading.wrong_type(path, value, self.wanted)
        elif value in known:
            reading.said[path] = known[value]
        elif value in self.later:
            message = f"{dotted(path)}: {value} is not carried out by this version; the default applies."
            reading.findings.append(Finding(path, "not-carried-out", message, severity=Severity.WARNING))
        else:
            reading.wrong_value(path, value, self.wanted, nearest(value, known))

    def schema(self) -> dict[str, Any]:
        return {"enum": [word.value for word in self.words]}


@dataclass(frozen=True, slots=True)
class Name:
    """A short word that goes into DNS, metrics and logs."""

    wanted: str = "up to 63 letters, digits, `.`, `_` or `-`, the first a letter or digit"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> None:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, bool | float):
            # 1.10 has already become 1.1: guessing what was written would be silently wrong.
            reading.wrong_type(path, value, "text", "Put it in quotes.")
        elif not isinstance(value, str):
            reading.wrong_type(path, value, "text")
        elif not _NAME.fullmatch(value):
            reading.wrong_value(path, value, self.wanted)
        else:
            reading.said[path] = value

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "integer"]}


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class Address:
    """`host:port`, on loopback only: what listens there has no authentication yet. `off` is read as port 0."""

    usual: int = 15000
    """The port of the examples in hints."""
    off: bool = False
    """Whether `off` may be said."""

    @property
    def wanted(self) -> str:
        return f"a loopback address and a port, like 127.0.0.1:{self.usual}" + (", or off" if self.off else "")

    def read(self, path: KeyPath, value: Any, reading: Reading) -> None:
        if self.off and (value is False or value == "off"):  # the former is what YAML 1.1 makes of a bare `off`
            reading.said[path] = ("", 0)
            return
        if not isinstance(value, str):
            hint = f"Write 127.0.0.1:{value}." if read_port(value) else ""
            reading.wrong_type(path, value, self.wanted, hint)
            return
        host, _, port_text = value.rpartition(":")
        port = read_port(port_text)
        if port is None or not host:
            reading.wrong_value(path, value, self.wanted, f"Write 127.0.0.1:{port or self.usual}.")
            return
        address = read_address("127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]"))
        if address is not None and address.is_loopback:
            reading.said[path] = (str(address), port)
            return
        why = "is not on loopback, and what listens there asks for no password yet."
        reading.refuse(path, "wrong-value", f"{dotted(path)} {show(value)} {why}", f"Write 127.0.0.1:{port}.")

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


def read_port(value: Any) -> int | None:
    """A TCP port of 1 to 65535, given as a number or as its decimal digits; else None."""
    if isinstance(value, str):
        value = int(value) if _DIGITS.fullmatch(value) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536 else None


_DIGITS = re.compile(r"[1-9][0-9]{0,4}")


@dataclass(frozen=True, slots=True)
class Port:
    """A TCP port."""

    wanted: str = "a port from 1 to 65535"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> None:
        port = read_port(value)
        if port is not None:
            reading.said[path] = port
        elif isinstance(value, str | int) and not isinstance(value, bool):
            reading.wrong_value(path, value, self.wanted)
        else:
            reading.wrong_type(path, value, self.wanted)

    def schema(self) -> dict[str, Any]:
        return {"type": ["integer", "string"]}


@dataclass(frozen=True, slots=True)
class Pattern:
    """The name of a file or a folder, or a pattern with `*` for several."""

    wanted: str = "the name of a file or a folder, `*` allowed"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> None:
        if not isinstance(value, str):
            reading.wrong_type(path, value, self.wanted)
        elif not value or "\0" in value or len(value) > 4096:
            reading.wrong_value(path, value, self.wanted)
        else:
            reading.said[path] = value

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class Network:
    """An IPv4 or IPv6 network, or one address."""

    wanted: str = "a network like 10.0.0.0/8 or fd00::/8"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> None:
        if not isinstance(value, str):
            reading.wrong_type(path, value, self.wanted)
            return
        try:
            # Scopes (`%eth0`) mean nothing in another namespace; 64 is longer than any network's text.
            if "%" in value or len(value) > 64:
                raise ValueError(value)
            network = ipaddress.ip_network(value, strict=False)
        except ValueError:
            reading.wrong_value(path, value, self.wanted)
            return
        if read_address(value.partition("/")[0]) != network.network_address:
            reading.wrong_value(path, value, "a network without host bits", f"Write {network}.")
        else:
            reading.said[path] = str(network)

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


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
