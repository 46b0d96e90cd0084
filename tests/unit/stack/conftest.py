"""A folder to stand in, and a `docker` command that is not Docker's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from unit.stack.fake_docker import FakeDocker


@pytest.fixture
def fake_docker(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    here = tmp_path_factory.mktemp("bin")
    monkeypatch.setenv("PATH", str(here))
    return FakeDocker(here)


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make files in a folder of the test's own, and go there."""

    def write(**files: str) -> Path:
        for name, text in files.items():
            (tmp_path / name.replace("__", ".")).write_text(text)
        monkeypatch.chdir(tmp_path)
        for name in ("COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES"):
            monkeypatch.delenv(name, raising=False)
        return tmp_path

    return write
