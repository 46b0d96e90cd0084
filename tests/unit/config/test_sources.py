"""Where a setting stands in the Compose files as they were written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from composemesh.config.loaders.said import Place
from composemesh.config.loaders.sources import MAX_FILES, read_sources


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


MAIN = """\
include: [inc/compose.yaml, {path: [inc/second.yaml], env_file: inc/inc.env}, "${VARIABLE}.yaml", "oci://registry/x"]
x-mesh: {capture: auto}
services:
  web:
    image: x
    labels:
      - x-mesh.version=v1
    x-mesh:
      version: v1
  ext:
    extends: {file: base/base.yaml, service: base}
    x-mesh: {service: e}
  local:
    extends: web
"""
OVERRIDE = """\
services:
  web:
    labels: {x-mesh.service: w}
    x-mesh:
      service: w
"""
BASE = """\
services:
  base:
    extends: {service: deeper}
    x-mesh:
      version: v9
  deeper:
    labels: {x-mesh.ports.80: http}
"""


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("services", "web", "x-mesh", "service"), Place("over.yaml", 5, 7)),  # the last file wins
        (("services", "web", "x-mesh", "version"), Place("compose.yaml", 9, 7)),
        (("services", "web", "x-mesh", "nothing"), Place("over.yaml", 4, 5)),  # the nearest ancestor
        (("x-mesh", "capture"), Place("compose.yaml", 2, 10)),
        (("services", "ext", "x-mesh", "service"), Place("compose.yaml", 12, 14)),
        (("services", "ext", "x-mesh", "version"), Place("base/base.yaml", 5, 7)),
        (("services", "local", "x-mesh", "version"), Place("compose.yaml", 9, 7)),
        (("services", "included", "x-mesh"), Place("inc/compose.yaml", 1, 23)),
        (("services", "second"), Place("inc/second.yaml", 1, 12)),
        (("networks",), Place("compose.yaml")),
        ((), Place("compose.yaml")),
    ],
)
def test_find(folder: Path, path: tuple[str, ...], place: Place) -> None:
    files = [write("compose.yaml", MAIN), write("over.yaml", OVERRIDE)]
    write("base/base.yaml", BASE)
    write("inc/compose.yaml", "services: {included: {x-mesh: {version: v1}}}")
    write("inc/second.yaml", "services: {second: {}}")
    assert read_sources(files).find(path) == place


def test_a_file_that_others_lead_to_comes_after_them_even_when_named(folder: Path) -> None:
    files = [write("compose.yaml", MAIN), write("base/base.yaml", "services: {web: {x-mesh: {version: v5}}}")]
    assert read_sources(files).find(("services", "web", "x-mesh", "version")) == Place("compose.yaml", 9, 7)


def test_labels_in_both_forms_and_through_extends(folder: Path) -> None:
    sources = read_sources([write("compose.yaml", MAIN), write("over.yaml", OVERRIDE), write("base/base.yaml", BASE)])
    assert sources.find_label("web", "x-mesh.version") == (Place("compose.yaml", 7, 9), "v1")
    assert sources.find_label("web", "x-mesh.service") == (Place("over.yaml", 3, 14), "w")
    assert sources.find_label("ext", "x-mesh.ports.80") == (Place("base/base.yaml", 7, 14), "http")
    assert sources.find_label("web", "x-mesh.other") == (Place("over.yaml", 3, 5), None)


def test_everything_that_compose_reads_is_watched(folder: Path) -> None:
    write("base/base.yaml", BASE)
    watched = {str(path) for path in read_sources([write("compose.yaml", MAIN)]).watched}
    assert {"compose.yaml", ".env", "compose.override.yaml", "base/base.yaml", "inc/compose.yaml"} <= watched
    assert {"inc/second.yaml", "inc/.env", "inc/inc.env"} <= watched
    assert not any("$" in path or "oci" in path for path in watched)


def test_circles_and_crowds_end(folder: Path) -> None:
    write("b.yaml", "include: [a.yaml]\nservices: {s: {extends: {file: a.yaml, service: s}}}")
    circle = read_sources(
        [write("a.yaml", "include: [b.yaml]\nservices: {s: {extends: {file: b.yaml, service: s}}}")]
    )
    assert circle.find(("services", "s", "x-mesh")).line == 2
    for number in range(MAX_FILES + 10):
        write(f"n{number}.yaml", f"include: [n{number + 1}.yaml]")
    assert len(read_sources([Path("n0.yaml")]).parsed) == MAX_FILES


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        "[1]",
        "services: []",
        "services: {web: 1}",
        "services: {web: {extends: 5, labels: 7}}",
        "include: 5",
        "include: [{path: 5}]",
        "services: {web: {extends: {service: [], file: {}}}}",
        "include: {path: x}",
        "a: [",
        "a: \0",
    ],
)
def test_odd_files_are_no_trouble(folder: Path, text: str) -> None:
    sources = read_sources([write("compose.yaml", text), Path("absent.yaml"), write(".env", "A={[")])
    assert sources.find(("services", "web", "x-mesh")).file == "compose.yaml"
    assert sources.find_label("web", "x-mesh.version")[0].file == "compose.yaml"


def test_a_pipe_is_not_read(folder: Path) -> None:
    os.mkfifo("pipe.yaml")
    assert dict(read_sources([Path("pipe.yaml")]).parsed) == {}
