"""`filters` of x-mesh: what requests go through, in this order. Their settings are read by the filters' own tables.

filters:
  - compress                     # with its defaults
  - stamp: {header: x-stage}     # the filter's words stand inside …
    fail: open                   # … and the mesh's beside it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from composemesh.catalog import Catalogs
from composemesh.config.schema.fields import Type
from composemesh.config.schema.forms import Each
from composemesh.config.schema.named import settings_in
from composemesh.config.schema.reading import Reading, dotted
from composemesh.config.schema.scalars import Duration, Words
from composemesh.config.schema.settings import settings_of
from composemesh.config.yaml import KeyPath
from composemesh.model.filter import PATIENCE, FilterUse
from composemesh.model.problem import Severity, quotable

BESIDE: Mapping[str, tuple[Type, str]] = {
    "fail": (
        Words({"closed": False, "open": True}),
        "What becomes of a request where the filter fails: `closed` refuses it, `open` lets it go on.",
    ),
    "timeout": (Duration(), "How long the filter may hold a request or an answer, 10s if unsaid."),
}
MOST = 32
"""Filters in one place."""


@dataclass(frozen=True, slots=True)
class Item:
    """One filter."""

    wanted: str = "the name of a filter, or a mapping of it to its settings"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> FilterUse | None:
        if isinstance(value, str):
            value = {value: None}
        if not isinstance(value, Mapping):
            reading.wrong_type(path, value, self.wanted)
            return None
        names = [word for word in value if word not in BESIDE]
        if len(names) != 1:
            message = f"{dotted(path)} names {len(names) or 'no'} filters, and must name one."
            reading.refuse(path, "wrong-value", message, "Begin each filter with `- `.")
            return None
        beside = {word: BESIDE[word][0].read((*path, word), value[word], reading) for word in BESIDE if word in value}
        fail_open, timeout = beside.get("fail", False), beside.get("timeout", PATIENCE)
        if fail_open is None or timeout is None:
            return None
        return _use(path, names[0], value[names[0]], reading, fail_open=fail_open, timeout=timeout)

    def schema(self) -> dict[str, Any]:
        words = {word: {**type_.schema(), "description": doc} for word, (type_, doc) in BESIDE.items()}
        return {"anyOf": [{"type": "string"}, {"type": "object", "minProperties": 1, "properties": words}]}


def _use(path: KeyPath, name: str, value: Any, reading: Reading, **beside: Any) -> FilterUse | None:
    """What stands in a list for one filter. One that can't be used stays in it: what becomes of requests without it,
    `fail` says; whatever else is in the configuration counts."""
    mark = len(reading.findings)
    type_ = settings_in(reading.catalogs.filters, (*path, name), name, reading)
    if type_ is not None:
        config = type_.read((*path, name), value, reading)
    told = reading.findings[mark:]
    if any(finding.severity is Severity.ERROR for finding in told):
        return None
    if type_ is None:
        return FilterUse(quotable(name), None, missing=" ".join(finding.message for finding in told), **beside)
    return FilterUse(name, config, **beside)


@dataclass(frozen=True, slots=True)
class FilterList:
    """As a key of `x-mesh`; each filter is kept by itself, with a line of its own."""

    wanted: str = "a list of filters"

    def read(self, path: KeyPath, value: Any, reading: Reading) -> None:
        if isinstance(value, list) and len(value) > MOST:
            message = f"{dotted(path)} has {len(value)} filters, and at most {MOST} are allowed."
            reading.refuse(path, "wrong-value", message)
            return
        Each(Item()).read(path, value, reading)

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": Item().schema()}


def known(schema: dict[str, Any], catalogs: Catalogs) -> dict[str, Any]:
    """The schema of a list of filters, with the words of those that there are."""
    words = schema["items"]["anyOf"]
    for name in catalogs.filters:
        try:
            words[1]["properties"][name] = settings_of(catalogs.filters[name]).schema()
        except Exception:
            words[1]["properties"][name] = {}  # its own trouble, told where it is loaded
    words[0]["enum"] = list(catalogs.filters)
    words[1]["additionalProperties"] = False
    return schema
