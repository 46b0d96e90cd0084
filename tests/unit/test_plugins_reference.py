"""docs/reference/plugins.md: what a filter and a sink are given, name by name."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from composemesh.plugin import Exchange, Record

PAGE = Path(__file__).parents[2] / "docs/reference/plugins.md"
SECTIONS = {
    part.partition("\n")[0]: part for part in re.split(r"^##+ ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
}
HAS = {
    "An exchange": [name for name in vars(Exchange) if not name.startswith("_")],
    "A record": list(Record.__slots__),
}


@pytest.mark.parametrize("title", HAS)
def test_a_table_names_every_public_attribute_and_no_other(title: str) -> None:
    written = re.findall(r"^\| `(\w+)", SECTIONS[title], re.MULTILINE)
    assert sorted(written) == sorted(HAS[title])


def test_a_plugins_author_has_types_to_check_it_with() -> None:
    """Without this file type checkers take all that a plugin imports for Any (PEP 561)."""
    assert (files("composemesh") / "py.typed").is_file()
