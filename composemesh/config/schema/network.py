"""Single values of Istio's messages that say where something is: ports, hosts, addresses and networks."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any

from composemesh.config.schema.reading import Reading, dotted, read_address, show
from composemesh.config.yaml import KeyPath


@dataclass(frozen=True, slots=True)
class PortNumber:
    """A TCP port."""

    wanted: str = "a port: it must be between 1-65535"
    zero: bool = False
    """Whether 0 may be said, for none."""

    def read(self, path: KeyPath, value: Any, reading: Reading) -> int | None:
        if isinstance(value, bool) or not isinstance(value, int):
            reading.wrong_type(path, value, self.wanted)
        elif not (0 if self.zero else 1) <= value <= 65535:
            reading.refuse(path, "wrong-value", f"{dotted(path)} is {value}, and a port must be between 1-65535.")
        else:
            return value
        return None

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": 0 if self.zero else 1, "maximum": 65535}


@dataclass(frozen=True, slots=True)
class PortText:
    """A port as the name in a table: JSON has no other names than text."""

    wanted: str = "a port from 1 to 65535"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> int | None:
        if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,4}", value) and int(value) < 65536:
            return int(value)
        message = f"{dotted(path)}: the port is {show(value)}, and a port must be between 1-65535."
        reading.refuse(path, "wrong-value", message)
        return None

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class Host:
    """A name in DNS, perhaps a pattern, or an address; lowercase."""

    pattern: bool = True
    """Whether `*` and `*.x` may be said."""
    namespaced: bool = False
    """Whether `ns/host` may be said."""

    @property
    def wanted(self) -> str:
        return "a host name" + (", `*.x` or `*`" if self.pattern else "")

    def read(self, path: KeyPath, value: Any, reading: Reading) -> str | None:
        if not isinstance(value, str):
            reading.wrong_type(path, value, self.wanted)
            return None
        namespace, slash, name = value.rpartition("/") if self.namespaced else ("", "", value)
        name = name.lower().rstrip(".")
        if (slash and not _NAMESPACE.fullmatch(namespace)) or not self._sound(name):
            reading.wrong_value(path, value, self.wanted)
            return None
        return name

    def _sound(self, name: str) -> bool:
        if name.startswith("*"):
            rest = name.removeprefix("*")
            if not self.pattern:
                return False
            return not rest or bool(_HOST.fullmatch(rest.lstrip(".-") or "-"))
        return (len(name) < 256 and bool(_HOST.fullmatch(name))) or read_address(name) is not None

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


_HOST = re.compile(r"[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?)*")
_NAMESPACE = re.compile(r"[*.~]|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Subnet:
    """An IPv4 or IPv6 network, or one address; as `ipaddress` prints it."""

    wanted: str = "an address or a network, like 10.0.0.0/8"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> str | None:
        if isinstance(value, str) and len(value) < 64 and "%" not in value:
            try:
                network = ipaddress.ip_network(value, strict=False)
            except ValueError:
                pass
            else:
                return str(network) if "/" in value else str(network.network_address)
        if isinstance(value, str):
            reading.wrong_value(path, value, self.wanted)
        else:
            reading.wrong_type(path, value, self.wanted)
        return None

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address, alone."""

    wanted: str = "an IP address"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> str | None:
        address = read_address(value) if isinstance(value, str) else None
        if address is None:
            reading.wrong_value(path, value, self.wanted)
            return None
        return str(address)

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}
