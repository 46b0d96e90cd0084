"""The engine in small, at every test's hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from unit.discovery.engine import Engine


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """An engine that is not running yet: `async with engine.running()`."""
    return Engine(tmp_path / "docker.sock")
