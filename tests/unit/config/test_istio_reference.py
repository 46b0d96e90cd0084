"""docs/reference/istio.md: the tables are those that read documents, the codes all there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from composemesh.config.analysis import findings
from composemesh.config.analysis.findings import Message
from composemesh.config.kinds import KINDS
from composemesh.config.kinds.kind import Kind
from composemesh.config.kinds.reference import WITH_FIELDS, rewritten
from unit.config.istio import compiled

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/reference/istio.md").read_text(encoding="utf-8")
CODES = re.findall(r"^\| (`[^|]*`) \| (error|warning|note) ", TEXT, re.MULTILINE)
SOURCES = (
    "kinds",
    "resources.py",
    "loaders/documents.py",
    "schema/fields.py",
    "schema/messages.py",
    "schema/scalars.py",
    "yaml",
)
CODE = re.compile(r"(?:refuse|warn|note|_say|Refused)\((?:[^()]|\([^()]*\))*?\"([a-z]+(?:-[a-z]+)+)\"")


def test_the_tables_are_made_of_the_kinds() -> None:
    assert rewritten(TEXT) == TEXT, "run `python -m composemesh.config.kinds.reference`"


@pytest.mark.parametrize("kind", WITH_FIELDS, ids=lambda kind: f"{kind.group} {kind.name}")
def test_a_kind_has_its_table(kind: Kind) -> None:
    assert f"<!-- fields of {kind.group} {kind.name} -->\n| field" in TEXT


def test_every_kind_is_listed() -> None:
    for kind in KINDS:
        assert f"| {kind.name} | `{kind.group}` | {', '.join(kind.versions)} |" in TEXT


def test_every_code_is_in_the_reference() -> None:
    said = set()
    for name in SOURCES:
        path = ROOT / "composemesh/config" / name
        for file in path.rglob("*.py") if path.is_dir() else [path]:
            said |= set(CODE.findall(file.read_text(encoding="utf-8")))
    written = {code for cell, _ in CODES for code in re.findall(r"`([a-z-]+)`", cell)}
    assert len(said) >= 15
    assert said <= written


def test_every_finding_is_in_the_reference_with_its_severity() -> None:
    written = {code: severity for cell, severity in CODES for code in re.findall(r"`((?:IST|KIA)\d+)`", cell)}
    messages = [message for message in vars(findings).values() if isinstance(message, Message)]
    said = {message.code: str(message.severity).replace("info", "note") for message in messages}
    assert written == said


def test_the_example_is_valid() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    made = compiled(example)
    assert not made.problems
    assert made.virtual_hosts
    assert made.policies
