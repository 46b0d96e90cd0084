"""What is compiled must mean the same compiled. Three things do not, and nobody would see that in the sources."""

from __future__ import annotations

import ast
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
MODULES = BUILD["hooks"]["custom"]["modules"]


@pytest.mark.parametrize("module", MODULES)
def test_no_name_holds_exceptions_of_two_types(module: str) -> None:
    """mypyc gives each name of a function one type, the first: the second exception would become a TypeError."""
    for function in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            caught: defaultdict[str, set[str]] = defaultdict(set)
            for handler in ast.walk(function):
                if isinstance(handler, ast.ExceptHandler) and handler.name and handler.type:
                    caught[handler.name].add(ast.unparse(handler.type))
            assert not {name for name, types in caught.items() if len(types) > 1}, function.name


@pytest.mark.parametrize("module", MODULES)
def test_no_coroutine_asks_its_base_class(module: str) -> None:
    """In a compiled coroutine, `super()` finds the method that it stands in."""
    for function in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(function, ast.AsyncFunctionDef):
            names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
            assert "super" not in names, function.name


@pytest.mark.parametrize("module", sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("composemesh/**/*.py")))
def test_no_interpreted_class_has_a_compiled_base(module: str) -> None:
    if module not in MODULES:
        tree = ast.parse((ROOT / module).read_text())
        compiled = {
            name.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module and _path(node.module) in MODULES
            for name in node.names
        }
        for made in ast.walk(tree):
            if isinstance(made, ast.ClassDef):
                bases = {base.id for base in made.bases if isinstance(base, ast.Name)}
                assert compiled.isdisjoint(bases), f"{made.name}: take its base out of pyproject.toml's list"


def _path(module: str) -> str:
    return f"{module.replace('.', '/')}.py"
