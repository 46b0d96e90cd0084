"""What a name stands for, where `x-mesh` says one of a catalog: sinks, sources, balancers; a plugin's or our own.

Which names there are is known only when a document is read: the reading brings the catalogs along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from composemesh.catalog import Catalog
from composemesh.config.schema.fields import Type
from composemesh.config.schema.messages import Said
from composemesh.config.schema.reading import Finding, Reading, dotted, nearest, show
from composemesh.config.schema.scalars import Words
from composemesh.config.schema.settings import settings_of
from composemesh.config.yaml import KeyPath
from composemesh.model.problem import Severity, quotable


@dataclass(frozen=True, slots=True)
class Named:
    """Several things of one role by name, each with its settings: `{statsd: {address: …}}`.

    What a plugin calls settings is its `Config`, and what is kept of each name is an instance of it, or None.
    """

    role: str
    """`sink` or `source`."""
    elsewhere: tuple[str, ...] = ()
    """Names that the mesh makes itself, of other words of the configuration."""
    ours: Mapping[str, Type] | None = None
    """Names that have settings of this version's own, beside those of the catalog."""

    @property
    def wanted(self) -> str:
        return f"a mapping from the name of a {self.role} to its settings"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> Said | None:
        if not isinstance(value, Mapping):
            reading.wrong_type(path, value, self.wanted, f"Write {{{quotable(str(value), 40)}: {{}}}}.")
            return None
        said = Said(path)
        for name, settings in value.items():
            type_ = self._type((*path, name), name, reading)
            if type_ is None:
                continue
            errors = _errors(reading)
            read = type_.read((*path, name), {} if settings is None else settings, reading)
            if _errors(reading) == errors:
                said[name] = read
        return said

    def _type(self, path: KeyPath, name: Any, reading: Reading) -> Type | None:
        if self.ours is not None and name in self.ours:
            return self.ours[name]
        return settings_in(self._catalog(reading), path, name, reading, self.elsewhere, tuple(self.ours or ()))

    def _catalog(self, reading: Reading) -> Catalog[Any]:
        return reading.catalogs.sinks if self.role == "sink" else reading.catalogs.sources

    def schema(self) -> dict[str, Any]:
        """Which plugins there are, an editor cannot know: any name will do."""
        properties = {name: type_.schema() for name, type_ in (self.ours or {}).items()}
        return {"type": "object", "properties": properties, "additionalProperties": {"type": ["object", "null"]}}


def settings_in(
    catalog: Catalog[Any],
    path: KeyPath,
    name: Any,
    reading: Reading,
    elsewhere: tuple[str, ...] = (),
    besides: tuple[str, ...] = (),
) -> Type | None:
    """The type of the settings of what a name stands for; None where there is none, which has been said."""
    if name not in catalog or name in elsewhere:
        known = (*besides, *(each for each in catalog if each not in elsewhere))
        unknown(catalog, path, name, reading, known)
        return None
    try:
        return settings_of(catalog[name])
    except Exception as problem:  # whatever a plugin's module does when it is imported
        message = f"{dotted(path)}: the {catalog.role} {show(name)} cannot be used: {problem!r:.200}."
        reading.findings.append(Finding(path, "plugin-broken", message, "Mend it, or take it out.", Severity.WARNING))
        return None


def unknown(catalog: Catalog[Any], path: KeyPath, name: Any, reading: Reading, known: tuple[str, ...]) -> None:
    """Say that nobody knows a name: an error, unless a plugin that was asked for is missing and may be the one."""
    hint = nearest(str(name), known) if known else f"Install the plugin that brings {show(name)} along."
    message = f"{dotted(path)}: there is no {catalog.role} {show(name)}."
    severity = Severity.WARNING if reading.catalogs.incomplete else Severity.ERROR
    reading.findings.append(Finding(path, "unknown-name", message, hint, severity))


@dataclass(frozen=True, slots=True)
class BalancerName:
    """One of our own balancers, or a plugin's."""

    ours: Words

    @property
    def wanted(self) -> str:
        return f"{self.ours.wanted}, or the name of a plugin's balancer"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> str | None:
        catalog = reading.catalogs.balancers
        if isinstance(value, str) and value in catalog and value not in self.ours.words and value not in _OWN_FORM:
            return value
        if isinstance(value, str) and value not in self.ours.words and reading.catalogs.incomplete:
            unknown(catalog, path, value, reading, tuple(self.ours.words))
            return None
        read: str | None = self.ours.read(path, value, reading)
        return read

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.ours.schema(), {"type": "string"}]}


_OWN_FORM = frozenset({"consistent_hash"})
"""Balancers that are asked for by a form of their own: `{hash: …}`."""


def _errors(reading: Reading) -> int:
    return sum(finding.severity is Severity.ERROR for finding in reading.findings)
