"""The Compose files that nobody named: Compose's own rules."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from composemesh.stack.files import DEFAULTS, compose_files


def make(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("services: {}\n")


@pytest.mark.parametrize("position", range(len(DEFAULTS)))
def test_the_first_default_name_wins(tmp_path: Path, position: int) -> None:
    make(tmp_path, *DEFAULTS[position:])
    assert compose_files({}, tmp_path) == (tmp_path / DEFAULTS[position],)


def test_the_override_file_comes_along(tmp_path: Path) -> None:
    make(tmp_path, "compose.yaml", "compose.override.yaml", "docker-compose.override.yml")
    assert compose_files({}, tmp_path) == (tmp_path / "compose.yaml", tmp_path / "compose.override.yaml")


def test_the_nearest_folder_above_is_looked_into(tmp_path: Path) -> None:
    make(tmp_path, "compose.yaml", "compose.override.yml")
    make(tmp_path / "a" / "b")
    assert compose_files({}, tmp_path / "a" / "b") == (tmp_path / "compose.yaml", tmp_path / "compose.override.yml")


def test_an_override_alone_is_nothing(tmp_path: Path) -> None:
    make(tmp_path, "compose.override.yaml")
    assert tmp_path not in {path.parent for path in compose_files({}, tmp_path)}


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").mkdir()
    make(tmp_path, "compose.yml")
    assert compose_files({}, tmp_path) == (tmp_path / "compose.yml",)


def test_the_environment_names_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "compose.yaml")
    monkeypatch.chdir(tmp_path)
    said = {"COMPOSE_FILE": os.pathsep.join(("a.yaml", "/b.yaml"))}
    assert compose_files(said, tmp_path) == (tmp_path / "a.yaml", Path("/b.yaml"))
    said = {"COMPOSE_FILE": "a.yaml,b.yaml", "COMPOSE_PATH_SEPARATOR": ","}
    assert compose_files(said, tmp_path) == (tmp_path / "a.yaml", tmp_path / "b.yaml")
