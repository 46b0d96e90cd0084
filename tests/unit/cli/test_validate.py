"""`composemesh validate`: files in, lines with places out, and the exit code that scripts rely on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from composemesh.cli.root import root
from composemesh.stack.errors import CallError

RULE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route: [{destination: {host: HOST}}]
"""
COMPOSE = """\
name: shop
services:
  reviews:
    image: none
    x-mesh: {version: v1}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without Docker: Compose files are taken as they are written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def call(*arguments: str, given: str | bytes = "") -> Result:
    return CliRunner().invoke(root, ["validate", *arguments], input=given)


def test_files_in_order_exit_0(folder: Path) -> None:
    (folder / "rule.yaml").write_text(RULE)
    answer = call("rule.yaml")
    assert answer.exit_code == 0
    assert answer.output == "Nothing wrong in 1 file.\n"


def test_a_mistake_has_its_place_and_exits_1(folder: Path) -> None:
    (folder / "mesh").mkdir()
    (folder / "mesh" / "rule.yaml").write_text(RULE.replace("http:", "htpp:"))
    (folder / "mesh" / "notes.txt").write_text("not read")
    answer = call("mesh")
    assert answer.exit_code == 1
    first, *_, last = answer.output.splitlines()
    assert first.startswith("mesh/rule.yaml:6:3: error: VirtualService reviews: unknown field `spec.htpp`.")
    assert first.endswith("Did you mean `http`? [unknown-field]")
    assert last == "1 error in 1 file."


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_programs_get_the_problems(folder: Path, form: str) -> None:
    answer = call("-", "--format", form, given=RULE.replace("v1", "v2"))
    assert answer.exit_code == 1
    said = json.loads(answer.output) if form == "json" else yaml.safe_load(answer.output)
    (problem,) = said["problems"]
    assert set(problem) == {"severity", "code", "message", "hint", "file", "line", "column", "resource"}
    assert (problem["severity"], problem["code"], problem["file"]) == ("error", "wrong-api-version", "standard input")
    assert (problem["line"], problem["column"]) == (1, 1)


def test_with_a_compose_file_unknown_hosts_are_warned_of(folder: Path) -> None:
    (folder / "compose.yaml").write_text(COMPOSE)
    (folder / "rule.yaml").write_text(RULE.replace("HOST", "review"))
    assert "IST0101" not in call("rule.yaml").output
    for answer in (call("rule.yaml", "compose.yaml"), call("rule.yaml", "-f", "compose.yaml")):
        assert answer.exit_code == 0, "the service may be started later"
        assert 'rule.yaml:7: warning: VirtualService reviews: Referenced host not found: "review".' in answer.output
        assert "Did you mean `reviews`?" in answer.output


def test_a_compose_file_may_come_from_standard_input(folder: Path) -> None:
    (folder / "rule.yaml").write_text(RULE.replace("HOST", "review"))
    answer = call("rule.yaml", "-", given=COMPOSE)
    assert "Did you mean `reviews`?" in answer.output


def test_the_compose_files_own_words_are_checked(folder: Path) -> None:
    (folder / "compose.yaml").write_text(COMPOSE.replace("version", "vrsion"))
    answer = call("compose.yaml")
    assert answer.exit_code == 1
    assert answer.output.startswith("compose.yaml:5:14: error: x-mesh of service reviews: unknown key")


def test_contradictions_between_files_are_errors(folder: Path) -> None:
    (folder / "a.yaml").write_text(RULE)
    (folder / "b.yaml").write_text(RULE.replace("name: reviews", "name: other"))
    answer = call("a.yaml", "b.yaml")
    assert answer.exit_code == 1
    assert "IST0109" in answer.output
    (folder / "b.yaml").write_text(RULE)
    answer = call("a.yaml", "b.yaml")
    assert answer.exit_code == 0, "the one applied last counts"
    assert "b.yaml:1:1: warning: VirtualService reviews stands in a.yaml:1 already" in answer.output


@pytest.mark.parametrize("content", [b"\xff", b"a: [", b"x: " + b"y" * (2 << 20), b"\x00", b"[" * 100])
def test_what_is_no_document_is_a_problem(folder: Path, content: bytes) -> None:
    (folder / "a.yaml").write_bytes(content)
    answer = call("a.yaml")
    assert answer.exit_code == 1
    assert answer.output.startswith("a.yaml")


def test_a_call_that_is_wrong(folder: Path) -> None:
    assert isinstance(call("nowhere.yaml").exception, CallError)
    (folder / "empty").mkdir()
    assert isinstance(call("empty").exception, CallError)
    assert call().exit_code == 2
    assert isinstance(call("-", "-f", "nowhere.yaml", given=RULE).exception, CallError)
