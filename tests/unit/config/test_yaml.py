"""YAML as data: values, places, limits, and no exception."""

from __future__ import annotations

import time

import pytest
import yaml as pyyaml

from composemesh.config import yaml
from composemesh.config.yaml import Mark, parse

TEXT = """\
a: !reset [1, 2]
b: &x
  c: {d: 0x1F, "9080": off}
  e: 22:22
f: *x
g:
  <<: *x
  e: 2.50
é: "ü"
l:
  - !override {q: 1}
"""


def value_of(text: str) -> object:
    (document,) = parse(text).documents
    return document.value


def problem_of(text: str | bytes) -> tuple[str, int, int]:
    parsed = parse(text, "f.yaml")
    (problem,) = parsed.problems
    assert not parsed.documents
    assert problem.file == "f.yaml"
    assert problem.message.endswith(".")
    return problem.code, problem.line, problem.column


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", "off"),  # text, as to Compose; YAML 1.1 has a boolean here
        ("false", False),
        ("True", True),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-7", -7),
        ("010", 8),
        ("0o10", 8),
        ("0x1F", 31),
        ("0b11", 3),
        ("089", "089"),
        ("1_000", "1_000"),
        ("22:22", "22:22"),
        ("1.10", 1.1),
        ("1e3", 1000.0),
        (".nan", ".nan"),
        ("2024-01-01", "2024-01-01"),
        ('"12"', "12"),
        ("!!str 12", "12"),
        ("9" * 5000, "9" * 5000),
        ("!custom 5", 5),
        ("<<", "<<"),
    ],
)
def test_scalars_mean_what_they_mean_to_compose(text: str, value: object) -> None:
    (read,) = parse(f"- {text}").documents[0].value
    assert read == value
    assert type(read) is type(value)


def test_values_and_merged_keys() -> None:
    assert value_of(TEXT) == {
        "a": [1, 2],
        "b": {"c": {"d": 31, "9080": "off"}, "e": "22:22"},
        "f": {"c": {"d": 31, "9080": "off"}, "e": "22:22"},
        "g": {"e": 2.5, "c": {"d": 31, "9080": "off"}},
        "é": "ü",
        "l": [{"q": 1}],
    }


def test_every_key_and_value_has_its_place() -> None:
    (document,) = parse(TEXT).documents
    assert document.keys["b", "c", "9080"] == Mark(3, 16)
    assert document.values["b", "c", "9080"] == Mark(3, 24)
    assert document.keys["f", "e"] == Mark(4, 3)  # where the alias's anchor says it
    assert document.keys["g", "c"] == Mark(3, 3)
    assert document.keys["g", "e"] == Mark(8, 3)
    assert document.values["é",] == Mark(9, 4)
    assert document.place(("a", 1)) == Mark(1, 15)
    assert document.place(("nowhere",)) is None


def test_both_parsers_of_pyyaml_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = parse(TEXT)
    monkeypatch.delattr(pyyaml, "CSafeLoader", raising=False)
    slow = parse(TEXT)
    assert fast == slow
    assert slow.documents


def test_several_documents() -> None:
    assert [document.value for document in parse("--- a\n...\n--- {b: 1}\n---\n").documents] == ["a", {"b": 1}, None]
    assert parse("# nothing\n").documents == ()


def test_anchors_end_with_their_document() -> None:
    assert problem_of("--- &a 1\n--- *a\n") == ("invalid-yaml", 2, 5)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3", ("duplicate-key", 3, 1)),
        ('{9080: x, "9080": y}', ("duplicate-key", 1, 11)),
        ("a: b: c", ("invalid-yaml", 1, 5)),
        ("a: 1\nb: [1, }", ("invalid-yaml", 2, 8)),
        ("&a [*a]", ("invalid-yaml", 1, 5)),
        ("a: *nobody", ("invalid-yaml", 1, 4)),
        ("b: 1\na: \x07", ("invalid-yaml", 2, 4)),
        ("\ud800", ("invalid-yaml", 0, 0)),
        (b"a: 1\nb: \xff", ("invalid-yaml", 2, 1)),
        ("? [a]\n: b", ("wrong-type", 1, 3)),
        ("<<: 1", ("wrong-type", 1, 1)),
        ("a: &m [1]\n<<: [*m]", ("wrong-type", 2, 1)),
        ("%YAML 5.0\n---\na", ("invalid-yaml", 1, 1)),
    ],
)
def test_mistakes_are_problems_with_a_place(text: str | bytes, problem: tuple[str, int, int]) -> None:
    assert problem_of(text) == problem


def billion_laughs() -> str:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (billion_laughs(), "too-many-aliases"),
        ("[" * 100_000, "too-deep"),
        ("- " * 100_000, "too-deep"),
        ("{a: " * 33 + "1" + "}" * 33, "too-deep"),
        ("a: &a " + "[" * 30 + "]" * 30 + "\nb: [[[[*a]]]]", "too-deep"),
        ("[" + "a," * 200_000 + "]", "too-large"),
        ("#" * (yaml.MAX_BYTES + 1), "too-large"),
    ],
    ids=["laughs", "flow", "block", "mappings", "through an alias", "values", "bytes"],
)
def test_hostile_texts_end_soon(text: str, code: str) -> None:
    began = time.process_time()
    assert problem_of(text)[0] == code
    assert time.process_time() - began < 3.0


def test_what_is_just_allowed() -> None:
    assert parse("[" * 32 + "]" * 32).documents
    anchored = "x: &x [" + ", ".join("a" * 99) + "]\n"
    assert parse(anchored + "\n".join(f"y{n}: *x" for n in range(10))).documents  # 100 nodes, ten times
    assert problem_of(anchored + "\n".join(f"y{n}: *x" for n in range(11)))[0] == "too-many-aliases"


@pytest.mark.parametrize("text", ["a: [fd00::]", "a: [1.2.3.4, fd00::, fd01::]\nb: 1", "{a: [b, ff::]}"])
def test_a_colon_may_end_a_scalar_as_for_compose(text: str) -> None:
    parsed = parse(text)
    assert not parsed.problems
    assert parsed.documents[0].value["a"][-1] in ("fd00::", "fd01::", "ff::")


@pytest.mark.parametrize("text", ["[a: ::, b: c::]", "[x::" + "]" * 3, "[" + ", ".join(["x::"] * 100) + "]"])
def test_a_text_full_of_such_colons_is_refused(text: str) -> None:
    (problem,) = parse(text).problems
    assert (problem.code, problem.line) == ("invalid-yaml", 1)
