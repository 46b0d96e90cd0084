"""Docstrings that are tables of a package name all that stands in it: who looks for something starts there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "composemesh"
NAMED = re.compile(r"`([^`\n]+)`|^ *(\S.*?) {2,}(?=\S)", re.MULTILINE)  # `name` in a sentence, or the first column


def table(package: Path) -> tuple[set[str], set[str]]:
    """What stands in a package, and what its docstring names."""
    there = {file.stem for file in package.glob("*.py")} - {"__init__"}
    there |= {file.parent.name for file in package.glob("*/__init__.py")}
    said = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    return there, {word for each in NAMED.findall(said) for word in re.findall(r"\w+", "".join(each))}


TOLD = {each.parent.relative_to(PACKAGE).as_posix(): table(each.parent) for each in PACKAGE.rglob("*/__init__.py")}
TABLES = [name for name, (there, named) in TOLD.items() if 2 * len(there & named) > len(there)]


@pytest.mark.parametrize("name", TABLES)
def test_the_table_of_a_room_is_whole(name: str) -> None:
    there, named = TOLD[name]
    assert not there - named
