"""`filters` of x-mesh: what can be said, where a Problem stands, and what the snapshot has of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from composemesh.catalog import Catalogs
from composemesh.config.compile import compile_mesh
from composemesh.config.loaders.compose import ComposeDocument, load_compose
from composemesh.config.loaders.resolved import Resolved
from composemesh.config.loaders.sources import read_sources
from composemesh.config.schema import json_schema
from composemesh.model.filter import FilterUse
from composemesh.model.problem import Problem, Severity
from composemesh.model.snapshot import Snapshot
from composemesh.plugins import Plugins


@dataclass(frozen=True)
class Config:
    header: str = "x-stamp"
    times: int = 1


class Stamp:
    Config = Config


class Plain:
    pass


class Odd:
    @dataclass
    class Config:
        pass


@pytest.fixture
def catalogs() -> Catalogs:
    catalogs = Plugins().catalogs
    for what in (Stamp, Plain, Odd):
        catalogs.filters.add(what.__name__.lower(), what, "a test")
    catalogs.filters.add("gone", "no.such.module:Filter", "a test")
    return catalogs


def loaded(tmp_path: Path, text: str, catalogs: Catalogs) -> ComposeDocument:
    path = tmp_path / "compose.yaml"
    path.write_text(text)
    return load_compose(Resolved(text, (path,)), read_sources([path]), catalogs)


def compiled(tmp_path: Path, text: str, catalogs: Catalogs) -> tuple[Snapshot, tuple[Problem, ...]]:
    return compile_mesh("test", loaded(tmp_path, text, catalogs))


def test_of_the_mesh_and_of_a_service_in_their_order(tmp_path: Path, catalogs: Catalogs) -> None:
    text = """
x-mesh:
  filters:
    - plain
    - stamp: {header: x-a, times: 2}
      fail: open
      timeout: 500ms
services:
  app:
    image: app
    x-mesh:
      filters:
        - stamp:
        - headers: {response: {set: {x-frame-options: DENY}}}
"""
    snapshot, problems = compiled(tmp_path, text, catalogs)
    assert problems == ()
    assert snapshot.mesh.filters == (FilterUse("plain"), FilterUse("stamp", Config("x-a", 2), True, 0.5))
    first, second = snapshot.filters["app"]
    assert first == FilterUse("stamp", Config())
    assert (second.name, second.config.response.set) == ("headers", {"x-frame-options": "DENY"})
    assert [use.origin.line for use in snapshot.mesh.filters] == [4, 5]
    assert str(second.origin) == f"x-mesh app ({tmp_path}/compose.yaml:14)"


def test_another_line_is_no_other_mesh(tmp_path: Path, catalogs: Catalogs) -> None:
    text = "x-mesh:\n  filters: [plain]\n"
    before, _ = compiled(tmp_path, text, catalogs)
    after, _ = compiled(tmp_path, f"# a comment\n{text}", catalogs)
    assert before == after
    assert after.mesh.filters[0].origin.line == 3


@pytest.mark.parametrize(
    ("item", "line", "code", "message"),
    [
        ("stmap: {}", 3, "unknown-name", 'there is no filter "stmap". Did you mean `stamp`?'),
        ("stamp: {\n       heder: x}", 4, "unknown-field", "unknown field `filters[0].stamp.heder`."),
        ("stamp: {times: many}", 3, "wrong-type", '`filters[0].stamp.times` is "many", and must be a whole number'),
        ("plain: {a: 1}", 3, "wrong-type", "`filters[0].plain` is a mapping, and must be left empty. It has no"),
        ("{}", 3, "wrong-value", "`filters[0]` names no filters, and must name one."),
        ("{stamp: , plain: }", 3, "wrong-value", "`filters[0]` names 2 filters, and must name one."),
        ("[stamp]", 3, "wrong-type", "`filters[0]` is a list, and must be the name of a filter, or a mapping of it"),
        ("{stamp: , fail: maybe}", 3, "wrong-value", '`filters[0].fail` is "maybe", and must be closed or open.'),
        ("{stamp: , timeout: 5}", 3, "wrong-type", "`filters[0].timeout` is 5, and must be a duration like 2s"),
        ("headers: {request: {set: {host: a}}}", 3, "wrong-value", "the header host frames or routes the message"),
    ],
)
def test_what_is_wrong_is_told_at_its_line(
    tmp_path: Path, catalogs: Catalogs, item: str, line: int, code: str, message: str
) -> None:
    _, problems = compiled(tmp_path, f"x-mesh:\n  filters:\n    - {item}\n", catalogs)
    (problem,) = problems
    assert (problem.severity, problem.code, problem.line) == (Severity.ERROR, code, line)
    assert message in f"{problem.message} {problem.hint}"
    assert problem.file == str(tmp_path / "compose.yaml")


def test_too_many(tmp_path: Path, catalogs: Catalogs) -> None:
    _, (problem,) = compiled(tmp_path, f"x-mesh:\n  filters: [{'plain,' * 33}]\n", catalogs)
    assert "`filters` has 33 filters, and at most 32 are allowed." in problem.message


def test_numbers_from_variables_are_numbers(tmp_path: Path, catalogs: Catalogs) -> None:
    snapshot, problems = compiled(tmp_path, "x-mesh:\n  filters: [{stamp: {times: '3'}}]\n", catalogs)
    assert problems == ()
    assert snapshot.mesh.filters[0].config.times == 3


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("gone", 'the filter "gone" cannot be used: ModuleNotFoundError'),
        ("odd", "Odd.Config is not frozen"),
    ],
)
def test_one_that_can_not_be_used_is_no_reason_to_reject_all(
    tmp_path: Path, catalogs: Catalogs, name: str, why: str
) -> None:
    snapshot, (problem,) = compiled(tmp_path, f"x-mesh:\n  filters: [{name}]\n", catalogs)
    assert (problem.severity, problem.code) == (Severity.WARNING, "plugin-broken")
    assert why in problem.message
    assert snapshot.mesh.filters[0].missing == problem.message.removeprefix("x-mesh: ")


def test_a_name_that_may_be_a_missing_plugin_s_is_no_typing_error(tmp_path: Path, catalogs: Catalogs) -> None:
    catalogs.incomplete = True
    snapshot, (problem,) = compiled(tmp_path, "x-mesh:\n  filters: [{guard: {a: 1}, fail: open}]\n", catalogs)
    assert (problem.severity, problem.code) == (Severity.WARNING, "unknown-name")
    why = '`filters[0].guard`: there is no filter "guard".'
    assert snapshot.mesh.filters[0] == FilterUse("guard", None, True, missing=why)


def test_members_of_a_service_speak_for_it_and_may_not_differ(tmp_path: Path, catalogs: Catalogs) -> None:
    text = """
services:
  a:
    x-mesh: {service: app, filters: [stamp]}
  b:
    x-mesh: {service: app%s}
"""
    snapshot, problems = compiled(tmp_path, text % "", catalogs)
    assert problems == ()
    assert list(snapshot.filters) == ["app"]
    assert compiled(tmp_path, text % ", filters: [stamp]", catalogs)[1] == ()
    _, (problem,) = compiled(tmp_path, text % ", filters: [plain]", catalogs)
    assert problem.code == "conflicting-settings"


VALID = [["stamp"], [{"stamp": None}], [{"stamp": {"times": 2}, "fail": "open", "timeout": "2s"}], [{"plain": {}}]]
INVALID: list[Any] = [["stmap"], [{"stamp": {"tims": 2}}], [{"stmap": {}}], [{"stamp": {}, "fail": "maybe"}], "stamp"]


@pytest.mark.parametrize(
    ("value", "valid"), [*((each, True) for each in VALID), *((each, False) for each in INVALID)]
)
def test_editors_are_told_the_same(catalogs: Catalogs, value: Any, valid: bool) -> None:
    validator = jsonschema.Draft202012Validator(json_schema(catalogs))
    for document in ({"x-mesh": {"filters": value}}, {"services": {"app": {"x-mesh": {"filters": value}}}}):
        assert validator.is_valid(yaml.safe_load(yaml.safe_dump(document))) is valid
