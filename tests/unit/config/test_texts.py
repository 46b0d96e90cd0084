"""The text of one document out of several."""

from __future__ import annotations

from pathlib import Path

import pytest

from composemesh.config.applied import Applied, as_yaml, dump
from composemesh.config.resources import load_documents
from composemesh.config.yaml import parse

ENTRY = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: %s}\nspec: {hosts: [a.example]}\n"
SEVERAL = f"""\
# about a
{ENTRY % "a"}# and more
---

# about b
{ENTRY % "b"}
--- # on the marker
{ENTRY % "c"}...
---
{{"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {{"name": "d"}}, "spec": {{}}}}
---
apiVersion: v1
kind: List
items:
- apiVersion: networking.istio.io/v1
  kind: ServiceEntry
  metadata: {{name: e}}
  spec: {{hosts: [e.example]}}
"""


@pytest.mark.parametrize("form", [SEVERAL, f"\ufeff{SEVERAL}", SEVERAL.replace("\n", "\r\n"), SEVERAL.encode()])
def test_each_document_has_its_own_text_with_its_comments(form: str | bytes) -> None:
    resources, problems = load_documents(form, "all.yaml")
    assert not problems
    texts = {each.name: each.text for each in resources}
    assert texts["a"] == f"# about a\n{ENTRY % 'a'}# and more\n"
    assert texts["b"] == f"# about b\n{ENTRY % 'b'}"
    assert (texts["c"], texts["d"], texts["e"]) == ("", "", "")  # an end marker, JSON, an item of a List
    lines = SEVERAL.splitlines()
    for each in resources:
        if each.text:
            assert lines[each.text_line - 1] == each.text.splitlines()[0]


def test_what_is_kept_is_read_again_as_it_was(tmp_path: Path) -> None:
    resources, _ = load_documents(SEVERAL)
    (tmp_path / "kept.yaml").write_text(dump(resources))
    kept = Applied(tmp_path / "kept.yaml")
    assert kept.load() == ()
    assert [each.document for each in kept.resources.values()] == [each.document for each in resources]
    assert kept.resources[resources[0].key].text == resources[0].text


@pytest.mark.parametrize(
    "value",
    [
        {"a": "1e3", "b": "on", "c": "0x1f", "d": "2024-01-01", "e": "1_000", "f": "~", "g": "", "h": "a: b"},
        {"a": 1, "b": 1.5, "c": True, "d": None, "e": [], "f": {}, "g": ["x\ny", "#"]},
        {"a": "0o17", "b": "12345678901234567890123", "c": ".5", "d": "1.", "e": "null", "f": "=", "g": "<<"},
    ],
)
def test_yaml_for_an_editor_says_the_same_to_us(value: object) -> None:
    assert parse(as_yaml(value)).documents[0].value == value


def test_versions_follow_what_is_said_and_not_how() -> None:
    (one,), _ = load_documents(ENTRY % "a")
    (other,), _ = load_documents(
        f"# a comment\n{ENTRY % 'a'}".replace("{hosts: [a.example]}", "\n  hosts:\n  - a.example")
    )
    (third,), _ = load_documents((ENTRY % "a").replace("a.example", "b.example"))
    assert one.version == other.version != third.version
