"""What reading a document leaves behind: what was said, what is wrong with it, and how a message puts that."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from composemesh.catalog import Catalogs
from composemesh.config.yaml import KeyPath
from composemesh.model.problem import Severity, quotable


@dataclass(frozen=True, slots=True)
class Finding:
    """A Problem that does not know its file yet. The path starts below `x-mesh`."""

    path: KeyPath
    code: str
    message: str
    """A clause that goes on after "x-mesh of service reviews: "."""
    hint: str = ""
    severity: Severity = Severity.ERROR


@dataclass(slots=True)
class Reading:
    """What one `x-mesh` says, as far as it was understood."""

    said: dict[KeyPath, Any] = field(default_factory=dict)
    """By path, leaves only: `("ports", "9080")` → Protocol.HTTP."""
    findings: list[Finding] = field(default_factory=list)
    catalogs: Catalogs = field(default_factory=Catalogs)
    """What can be named: where plugins bring words along, these are theirs."""
    folder: Path | None = None
    """That of the first Compose file, from which relative paths count; None where there is no file."""

    def refuse(self, path: KeyPath, code: str, message: str, hint: str = "") -> None:
        self.findings.append(Finding(path, code, message, hint))

    def wrong_type(self, path: KeyPath, value: Any, wanted: str, hint: str = "") -> None:
        self.refuse(path, "wrong-type", f"{dotted(path)} is {show(value)}, and must be {wanted}.", hint)

    def wrong_value(self, path: KeyPath, value: Any, wanted: str, hint: str = "") -> None:
        self.refuse(path, "wrong-value", f"{dotted(path)} is {show(value)}, and must be {wanted}.", hint)


def show(value: Any) -> str:
    """A value as a message quotes it: bounded, on one line, and recognisable."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None or value == "":
        return "empty"
    if isinstance(value, str):
        return f'"{quotable(value)}"'
    return str(value).lower()


def nearest(word: str, words: Collection[str], offered: Collection[str] = ()) -> str:
    """A hint that names the nearest right word, or all that are offered."""
    plain = {_plain(known): known for known in words}
    close = difflib.get_close_matches(_plain(word[:80]), plain, n=1)
    return f"Did you mean `{plain[close[0]]}`?" if close else f"Use one of {', '.join(offered or words)}."


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")


def dotted(path: KeyPath) -> str:
    """A path as messages name it: `spec.http[0].route`."""
    if not path:
        return "it"
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return f"`{quotable(''.join(steps).removeprefix('.'), 160)}`"


def read_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An IP address without a scope, or None."""
    try:
        return ipaddress.ip_address(text) if len(text) < 64 and "%" not in text else None
    except ValueError:
        return None
