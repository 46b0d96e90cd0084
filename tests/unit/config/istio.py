"""Istio's own files, beside the project and not in it; and short ways to compile a text."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from composemesh.config.resources import Compiled, compile_resources, load_documents
from composemesh.model.problem import Problem, Severity
from environment.folder import SHARED

FOLDER = SHARED / "data" / "istio"
BOOKINFO = ("details", "mysqldb", "productpage", "ratings", "reviews")


def files(folder: str) -> list[Path]:
    """The files of a folder, or the test that asks is skipped with a line that says what to do."""
    found = sorted((FOLDER / folder).glob("*.yaml"))
    if not found:
        pytest.skip("Istio's files are not here: set COMPOSEMESH_SHARED to the folder that holds data/istio")
    return found


def text_of(path: str) -> str:
    """One file."""
    if not FOLDER.is_dir():
        pytest.skip("Istio's files are not here: set COMPOSEMESH_SHARED to the folder that holds data/istio")
    return (FOLDER / path).read_text()


def compiled(text: str, services: Collection[str] = BOOKINFO, project: str = "") -> Compiled:
    """What a text means, whose envelopes are in order."""
    resources, problems = load_documents(text, "mesh.yaml")
    assert not [problem for problem in problems if problem.severity is Severity.ERROR], problems
    return compile_resources(resources, project, services)


def spec(kind: str, body: str, api: str = "networking.istio.io/v1", name: str = "x") -> str:
    """A document whose `spec` starts on line 6."""
    indented = "\n".join(f"  {line}" for line in body.strip("\n").splitlines())
    return f"apiVersion: {api}\nkind: {kind}\nmetadata:\n  name: {name}\nspec:\n{indented}\n"


def errors(made: Compiled) -> list[Problem]:
    return [problem for problem in made.problems if problem.severity is Severity.ERROR]


def warnings(made: Compiled) -> list[Problem]:
    return [problem for problem in made.problems if problem.severity is Severity.WARNING]
