"""docs/reference/x-mesh.md against the schema: every key, every default, every code, and examples that are valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from composemesh.config.compile import compile_mesh
from composemesh.config.loaders.compose import load_compose
from composemesh.config.loaders.resolved import Resolved
from composemesh.config.loaders.sources import Sources
from composemesh.config.schema import EXCLUDE, MESH, SERVICE
from composemesh.config.schema.shapes import Key, Later
from composemesh.config.schema.short import RETRY_WORDS
from composemesh.config.yaml import parse

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/reference/x-mesh.md").read_text()
ROWS = {row.split("|")[1].strip().strip("`"): row for row in TEXT.splitlines() if row.startswith("| `")}
ELSEWHERE = ("kinds", "resources", "analysis")
ISTIO_FILES = ("documents.py", "fields.py", "messages.py", "scalars.py")
"""What Istio's documents meet, `documents` included, has a reference of its own."""
LATER = TEXT.partition("## Known words of later versions")[2]
KEYS = [*MESH.keys.items(), *SERVICE.object.keys.items()]
KEYS += [(f"exclude.{name}", key) for name, key in EXCLUDE.keys.items()]


@pytest.mark.parametrize(("name", "key"), KEYS, ids=[name for name, _ in KEYS])
def test_every_key_is_in_the_reference(name: str, key: Key) -> None:
    if isinstance(key.shape, Later):
        assert f"`{name}`" in LATER
        assert name not in ROWS
    else:
        assert f"`{key.default}`" in ROWS[name] or not key.default
        assert f"`{name}`" not in LATER


def test_every_code_is_in_the_reference() -> None:
    folder = ROOT / "composemesh/config"
    paths = [path for path in folder.rglob("*.py") if not path.relative_to(folder).parts[0].startswith(ELSEWHERE)]
    sources = "".join(path.read_text() for path in paths if path.name not in ISTIO_FILES)
    codes = set(re.findall(r'"((?:[a-z]+-)+[a-z]+)"', sources)) - {
        "x-mesh",
        "utf-8-sig",
        "retriable-status-codes",
        *RETRY_WORDS,
    }
    assert codes == {name for name in ROWS if "-" in name}


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))
def test_every_example_is_valid(example: str) -> None:
    document = load_compose(Resolved(example), Sources({Path("x.yaml"): parse(example, "x.yaml")}))
    snapshot, problems = compile_mesh("shop", document)
    assert problems == ()
    assert snapshot.services["mysql"].meshed is False
    assert any(service.version == "v2" for service in snapshot.services.values())
