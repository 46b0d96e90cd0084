"""A plugin's `Config` as a table of fields: what can be said, and what a Problem says of all else."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from composemesh.config.schema.reading import Reading
from composemesh.config.schema.settings import Untold, settings, settings_of
from composemesh.plugin import Bytes, HeaderName, Port, Seconds, between, matching, setting


class Level(enum.StrEnum):
    LOW = "low"
    HIGH = "high"


@dataclass(frozen=True)
class Inner:
    port: Port
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    header: HeaderName
    level: Annotated[int, between(1, 9)] = setting("How much.", 6)
    share: Annotated[float, between(0.0, 1.0)] = 1.0
    every: Seconds = 10.0
    most: Bytes = 1024
    word: Literal["on", "auto"] = "auto"
    grade: Level = Level.LOW
    types: tuple[str, ...] = ("text/html",)
    name: str | None = None
    deep: bool = False
    inner: Inner | None = None
    tag: Annotated[str, matching("[a-z]+", "lowercase letters")] = "a"

    def __post_init__(self) -> None:
        if self.header == "x-secret":
            raise ValueError("x-secret is taken")


def told(value: Any, of: type = Config, folder: Path | None = None) -> tuple[Any, list[str]]:
    reading = Reading(folder=folder)
    made = settings(of).read(("filters", 0, "stamp"), value, reading)
    return made, [f"{finding.message} {finding.hint}".strip() for finding in reading.findings]


def test_everything_that_can_be_said() -> None:
    said = {
        "header": "x-stamp",
        "level": 9,
        "share": 0.5,
        "every": "1m30s",
        "most": "64k",
        "word": "on",
        "grade": "high",
        "types": ["a", "b"],
        "name": "n",
        "deep": True,
        "inner": {"port": 80, "tags": {"env": "test"}},
        "tag": "abc",
    }
    made, wrong = told(said)
    assert wrong == []
    inner = Inner(80, {"env": "test"})
    assert made == Config("x-stamp", 9, 0.5, 90.0, 65536, "on", Level.HIGH, ("a", "b"), "n", True, inner, "abc")
    assert type(made.inner.tags) is dict


def test_a_default_that_is_made_is_new_each_time() -> None:
    @dataclass(frozen=True)
    class Tagged:
        tags: Mapping[str, str] = setting("What it is tagged with.", make=dict)

    (one, wrong), (other, _) = told({}, Tagged), told(None, Tagged)
    assert (one.tags, wrong) == ({}, [])
    assert one.tags is not other.tags
    field = settings(Tagged).message.fields["tags"]
    assert (field.doc, field.required) == ("What it is tagged with.", False)
    assert told({"tags": {"env": "test"}}, Tagged)[0].tags == {"env": "test"}


def test_a_default_is_given_or_made() -> None:
    with pytest.raises(ValueError, match="both"):
        setting("What it is tagged with.", "a", make=str)


def test_what_is_not_said_has_its_default() -> None:
    assert told({"header": "x-a"}) == (Config("x-a"), [])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "`filters[0].stamp.header` is missing."),
        (None, "`filters[0].stamp.header` is missing."),
        ("x", '`filters[0].stamp` is "x", and must be a mapping.'),
        ({"header": "a b"}, '`filters[0].stamp.header` is "a b", and must be the name of a header.'),
        ({"header": "x-a", "levle": 1}, "unknown field `filters[0].stamp.levle`. Did you mean `level`?"),
        ({"header": "x-a", "level": 10}, "`filters[0].stamp.level` is 10, and must be a whole number from 1 to 9."),
        ({"header": "x-a", "every": 5}, "and must be a duration like 2s, 100ms or 1m30s. Write 5s."),
        ({"header": "x-a", "most": "a lot"}, "and must be a size like 512, 16k, 64m or 1g."),
        ({"header": "x-a", "word": "off"}, "and must be on or auto."),
        ({"header": "x-a", "inner": {"port": 0}}, "`filters[0].stamp.inner.port` is 0, and a port must be between"),
        ({"header": "x-a", "tag": "A1"}, '`filters[0].stamp.tag` is "A1", and must be lowercase letters.'),
        ({"header": "x-secret"}, "`filters[0].stamp`: x-secret is taken."),
    ],
)
def test_everything_else_is_a_finding(value: Any, message: str) -> None:
    made, wrong = told(value)
    assert made is None
    assert len(wrong) == 1
    assert message in wrong[0]


def test_a_class_without_config_has_no_settings() -> None:
    class Plain:
        pass

    reading = Reading()
    assert settings_of(Plain).read((), None, reading) is None
    assert not reading.findings
    settings_of(Plain).read((), {"a": 1}, reading)
    assert [finding.hint for finding in reading.findings] == ["It has no settings."]


def test_the_schema_is_made_of_the_same_table() -> None:
    schema = settings(Config).schema()
    assert schema["required"] == ["header"]
    assert schema["properties"]["level"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 9,
        "description": "How much.",
    }
    assert schema["properties"]["grade"]["enum"] == ["low", "high"]


def test_what_configuration_cannot_be_is_told_to_the_author() -> None:
    @dataclass
    class Loose:
        a: int = 1

    @dataclass(frozen=True)
    class Odd:
        a: object = None

    with pytest.raises(Untold, match="not frozen"):
        settings(Loose)
    with pytest.raises(Untold, match=r"Odd\.a is <class 'object'>, which configuration cannot be"):
        settings(Odd)
    with pytest.raises(Untold, match="no dataclass"):
        settings(dict)


@dataclass(frozen=True)
class OfFile:
    path: Path = setting("Which file.")


@pytest.mark.parametrize(
    ("said", "meant"),
    [("a.txt", "/srv/shop/a.txt"), ("../b/a.txt", "/srv/b/a.txt"), ("./", "/srv/shop"), ("/etc/a", "/etc/a")],
)
def test_a_path_counts_from_the_compose_file(said: str, meant: str) -> None:
    assert told({"path": said}, OfFile, Path("/srv/shop")) == (OfFile(Path(meant)), [])


@pytest.mark.parametrize(
    ("said", "folder", "words"),
    [
        (
            "a.txt",
            None,
            '`filters[0].stamp.path` is "a.txt", and must be a whole path. A relative path counts from',
        ),
        ("", Path("/srv"), "`filters[0].stamp.path` is empty, and must be a path."),
        ("a\0b", Path("/srv"), "and must be a path."),
        (7, Path("/srv"), "`filters[0].stamp.path` is 7, and must be text."),
    ],
)
def test_what_is_no_path(said: Any, folder: Path | None, words: str) -> None:
    made, (wrong,) = told({"path": said}, OfFile, folder)
    assert made is None
    assert words in wrong


@pytest.mark.parametrize("problem", [RuntimeError("boom"), TypeError("boom"), SystemExit("boom")])
def test_a_bug_of_the_settings_own_is_the_plugins(problem: BaseException) -> None:
    @dataclass(frozen=True)
    class Broken:
        level: int = 1

        def __post_init__(self) -> None:
            raise problem

    made, (wrong,) = told({}, Broken)
    assert made is None
    assert wrong.startswith(
        f"`filters[0].stamp`: the plugin failed to make its settings: {type(problem).__name__}: boom ("
    )
    assert wrong.endswith("Mend the plugin, or take it out.")
