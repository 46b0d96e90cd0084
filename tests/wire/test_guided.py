"""A short hunt by coverage in every part of the codec; `make fuzz` hunts for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from mesh.test_exhaustion import python_path
from wire import guided

pytest.importorskip("atheris", reason="atheris is not installed (extra `test`, where it has a wheel)")
SECONDS = 1


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", python_path())


@pytest.mark.parametrize("target", guided.TARGETS)
def test_nothing_is_found(target: str, tmp_path: Path) -> None:
    tried, found = guided.hunt(target, SECONDS, 1, tmp_path)
    assert found == ""
    assert tried > 100


def test_carelessness_would_be_found(tmp_path: Path) -> None:
    _, found = guided.hunt("careless", 20, 1, tmp_path)
    assert "AssertionError" in found
