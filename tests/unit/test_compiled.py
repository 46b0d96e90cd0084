"""What is compiled must mean the same compiled. Five things do not, and nobody would see that in the sources.

One of them is found elsewhere: mypy's `warn_unreachable` tells what it takes for proven that may have changed
meanwhile."""

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
def test_no_bound_of_a_slice_does_anything(module: str) -> None:
    """mypyc evaluates the bounds twice where what is sliced is not a list, str or bytes."""
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.Slice):
            calls = [call for call in ast.walk(node) if isinstance(call, ast.Call | ast.Await | ast.NamedExpr)]
            assert not [ast.unparse(call) for call in calls if not _is_pure(call)]


@pytest.mark.parametrize("module", MODULES)
def test_no_field_on_its_way_is_put_together_anew(module: str) -> None:
    """mypyc takes a pair in a loop for two values, and makes another pair of them, unless it is of type Any. Fields
    that no hop may index are told by their class, which would be gone: see `proxy.headers`."""
    for function in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            of_any = {
                each.arg for each in function.args.args if each.annotation and "Any" in ast.unparse(each.annotation)
            }
            for node in ast.walk(function):
                if isinstance(node, ast.ListComp | ast.GeneratorExp) and isinstance(node.elt, ast.Name):
                    (first, *_) = node.generators
                    passed_on = ast.unparse(first.target) == node.elt.id
                    source = ast.unparse(first.iter)
                    received = source in ("fields", "head.fields") and source not in of_any
                    assert not (passed_on and received), ast.unparse(node)


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


def _is_pure(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("len", "max", "min")


def _path(module: str) -> str:
    return f"{module.replace('.', '/')}.py"
