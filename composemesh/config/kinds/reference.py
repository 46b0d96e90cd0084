"""The tables of docs/reference/istio.md, printed from the tables that read the documents.

`python -m composemesh.config.kinds.reference` writes them into the page; a test sees to it that they are the ones.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from composemesh.config.kinds import KINDS
from composemesh.config.kinds.kind import Kind
from composemesh.config.schema.fields import Fate, Field, Type
from composemesh.config.schema.messages import Message, Repeated, Table

PAGE = Path("docs/reference/istio.md")
_BLOCK = re.compile(r"(<!-- fields of (\S+) (\S+) -->\n).*?(\n<!-- end -->)", re.DOTALL)
_OTHERS = re.compile(r"(<!-- kinds -->\n).*?(\n<!-- end -->)", re.DOTALL)
WITH_FIELDS = tuple(kind for kind in KINDS if kind.compile is not None)


def rewritten(page: str) -> str:
    """The page with its tables made anew."""
    kinds = {(kind.group, kind.name): kind for kind in KINDS}
    page = _BLOCK.sub(lambda found: found[1] + fields_of(kinds[found[2], found[3]]) + found[4], page)
    return _OTHERS.sub(lambda found: found[1] + _kinds() + found[2], page)


def fields_of(kind: Kind) -> str:
    """A row for each field of a kind."""
    assert isinstance(kind.spec, Message)
    rows = [f"| `{path}` | {field.doc} | {_fate(field)} |" for path, field in _rows(kind.spec, "", {})]
    return "\n".join(["| field of `spec` | meaning | what becomes of it |", "|---|---|---|", *rows])


def _rows(message: Message, within: str, seen: dict[int, str]) -> Iterator[tuple[str, Field]]:
    """Every field with its path; a message that stands in several places is printed at the first."""
    for name, field in message.fields.items():
        marks, inner = _unwrapped(field.type)
        path = f"{within}{name}{marks}"
        first = seen.setdefault(id(inner), path) if isinstance(inner, Message) else path
        deep = isinstance(inner, Message) and field.fate in (Fate.CARRIED_OUT, Fate.DEPRECATED)
        if deep and first != path:
            yield path, Field(field.type, f"{field.doc} As `{first}`.", field.fate, field.note, field.required)
            continue
        yield path, field
        if deep and isinstance(inner, Message):
            yield from _rows(inner, f"{path}.", seen)


def _unwrapped(type_: Type) -> tuple[str, Type]:
    marks = ""
    while isinstance(type_, Repeated | Table):
        marks += "[]" if isinstance(type_, Repeated) else "{}"
        type_ = type_.item if isinstance(type_, Repeated) else type_.value
    return marks, type_


def _fate(field: Field) -> str:
    if field.fate is Fate.CARRIED_OUT:
        return "carried out; required" if field.required else "carried out"
    note = f": {field.note[0].lower()}{field.note[1:].rstrip('.')}" if field.note else ""
    words = {
        Fate.DEPRECATED: "deprecated",
        Fate.LATER: "not carried out: a warning",
        Fate.WITHOUT_EFFECT: "no effect",
        Fate.REFUSED: "refused",
    }
    return f"{words[field.fate]}{note}"


def _kinds() -> str:
    rows = []
    for kind in KINDS:
        versions = ", ".join(kind.versions)
        how = "carried out" if kind.compile is not None else "known, and answered with a warning"
        if kind.compile is None and isinstance(kind.spec, Message):
            how = "its fields are checked, and it is answered with a warning"
        rows.append(f"| {kind.name} | `{kind.group}` | {versions} | {how} |")
    return "\n".join(["| kind | group | versions | what becomes of it |", "|---|---|---|---|", *rows])


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit(0)
