"""What `-f` may name, what a kind may be called, and what is said of calls that make no sense."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from composemesh.cli.documents import kind_of, read_files
from composemesh.cli.root import root
from composemesh.stack.errors import CallError, UserError


def test_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("kind: B\n")
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("no resource")
    (tmp_path / "empty.yml").write_text("")
    names = [Path(name).name for name, _ in read_files([str(tmp_path)])]
    assert names == ["a.json", "b.yaml", "empty.yml"]


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n", "---\n# nothing yet\n---\n"])
def test_a_file_that_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UserError, match=r"a\.yaml: no resource in it"):
        read_files([str(tmp_path / "a.yaml")])


def test_a_file_that_is_not_there_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(CallError, match=r"nope\.yaml: No such file"):
        read_files([str(tmp_path / "nope.yaml")])
    with pytest.raises(CallError, match=r"no \.yaml, \.yml or \.json file"):
        read_files([str(tmp_path)])
    with pytest.raises(CallError, match="name a file"):
        read_files([""])


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"a\.yaml: not UTF-8 text"):
        read_files([str(tmp_path / "a.yaml")])


@pytest.mark.parametrize("kind", ["vs", "VirtualService", "virtualservices", "networking.istio.io/VirtualService"])
def test_the_schema_of_a_kind_by_any_of_its_names(kind: str) -> None:
    answer = CliRunner().invoke(root, ["schema", kind])
    assert answer.exit_code == 0
    assert "hosts" in json.loads(answer.stdout)["properties"]["spec"]["properties"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["schema", "VirtualServise"], "did you mean VirtualService?"),
        (["schema", "istio.io/Gateway"], "say networking.istio.io/Gateway or gateway.networking.k8s.io/Gateway"),
        (["-p", "shop", "tap", "--status", "5x"], "--status 5x: say a status like 503, or a class like 5xx."),
        (["-p", "shop", "explain", "web", "ftp://reviews/"], "'ftp://reviews/': say http://HOST[:PORT]/PATH"),
        (["-p", "shop", "explain", "web", "http://reviews:99999/"], "with a port from 1 to 65535"),
        (["-p", "shop", "explain", "web", "http:///path"], "say http://HOST"),
        (["-p", "shop", "delete", "vs/"], "A name is missing"),
    ],
)
def test_a_call_that_makes_no_sense(arguments: list[str], said: str) -> None:
    problem = CliRunner().invoke(root, arguments).exception
    assert isinstance(problem, CallError)
    assert problem.exit_code == 2
    assert said in str(problem)


def test_a_kind_that_is_none_of_ours_may_be_a_plugins() -> None:
    def others() -> list[str]:
        return ["Busy", "VirtualServer"]

    assert kind_of("Busy.example.com", others) == "Busy"
    assert kind_of("busies", others) == "Busy"
    assert kind_of("virtualserver", others) == "VirtualServer", "though one of ours is near"
    with pytest.raises(CallError, match=r"No kind 'bussy': did you mean Busy\? There are Busy, VirtualService, "):
        kind_of("bussy", others)


def test_a_kind_that_there_is_not() -> None:
    with pytest.raises(CallError, match=r"did you mean VirtualService\? There are VirtualService, "):
        kind_of("VirtualServise")
    for word in ("nonsense", "%", ""):
        with pytest.raises(CallError, match=r"there are VirtualService, DestinationRule, .*, HTTPRoute") as raised:
            kind_of(word)
        assert f"No kind {word!r}" in str(raised.value)
