"""Names and what they stand for."""

from __future__ import annotations

import sys

import pytest

from composemesh.catalog import Catalog, Catalogs, Taken


def test_a_class_and_where_one_is_are_the_same_to_whoever_asks() -> None:
    catalog: Catalog[type] = Catalog("sink")
    catalog.add("given", dict, "a test")
    catalog.add("named", "collections:OrderedDict", "a test")
    assert catalog["given"] is dict
    assert catalog["named"] is sys.modules["collections"].OrderedDict
    assert list(catalog) == ["given", "named"]


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    sys.modules.pop("this", None)
    catalog: Catalog[type] = Catalog("sink")
    catalog.add("poem", "no.such.module:Poem", "a test")
    assert "poem" in catalog
    with pytest.raises(ModuleNotFoundError):
        catalog["poem"]


def test_who_comes_first_keeps_a_name() -> None:
    catalog: Catalog[type] = Catalog("filter")
    catalog.add("stamp", dict, "one.py")
    with pytest.raises(Taken, match=r"the filter `stamp` is one\.py's already"):
        catalog.add("stamp", list, "two.py")
    assert catalog["stamp"] is dict


def test_a_name_is_one_of_its_own_noun() -> None:
    catalogs = Catalogs()
    catalogs.filters.add("x", dict, "one.py")
    catalogs.sinks.add("x", list, "two.py")
    assert [(entry.role, entry.name, entry.came_from) for entry in catalogs.entries] == [
        ("filter", "x", "one.py"),
        ("sink", "x", "two.py"),
    ]
