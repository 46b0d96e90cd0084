"""The single values of `x-mesh`: words, names, ports, addresses, networks. Shapes, as `shapes` says.

The same shape reads a YAML value and the text of a label, where everything is text.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from dataclasses import dataclass
from typing import Any

from composemesh.config.schema.reading import Finding, Reading, dotted, nearest, read_address, show
from composemesh.config.yaml import KeyPath
from composemesh.model.problem import Severity


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
