"""The resolved Compose project, and what Compose says when it refuses one."""

from __future__ import annotations

from pathlib import Path

import pytest

from composemesh.config.compile import compile_mesh
from composemesh.config.loaders.compose import explain, load_compose
from composemesh.config.loaders.resolved import Resolved
from composemesh.config.loaders.sources import Sources
from composemesh.config.yaml import parse
from composemesh.model.snapshot import ServiceSettings

FILE = Path("compose.yaml")


def sources(text: str) -> Sources:
    return Sources({FILE: parse(text, str(FILE))})


def test_a_dollar_is_printed_twice_and_means_one() -> None:
    loaded = load_compose(Resolved("services: {web: {x-mesh: {version: v$$1}}}"), sources(""))
    assert 'is "v$1"' in loaded.problems[0].message


def test_labels_that_compose_mangled() -> None:
    text = "services: {web: {labels: {'#extensions': 'map[x-mesh.ports.80:http x-mesh.version:v1]', other: a}}}"
    snapshot, problems = compile_mesh("shop", load_compose(Resolved(text), sources(text)))
    assert problems == ()
    assert snapshot.services["web"].version == "v1"
    assert snapshot.services["web"].ports == {80: "http"}


def test_an_unquoted_version_in_a_mangled_label_is_not_guessed_at() -> None:
    raw = "services:\n  web:\n    labels: {x-mesh.version: 1.10}\n"
    text = "services: {web: {labels: {'#extensions': 'map[x-mesh.version:1.1]'}}}"
    (problem,) = load_compose(Resolved(text), sources(raw)).problems
    assert (problem.code, problem.line, problem.hint) == ("wrong-type", 3, "Put it in quotes.")


def test_a_resolved_project_that_cannot_be_read_is_one_problem() -> None:
    (problem,) = load_compose(Resolved("[" * 40), sources("a: 1")).problems
    assert (problem.code, problem.file) == ("too-deep", "compose.yaml")


@pytest.mark.parametrize(
    "text", ["", "text", "[]", "services: 5", "services: {web: 5}", "services: {web: {labels: [1]}}"]
)
def test_odd_projects_say_nothing(text: str) -> None:
    loaded = load_compose(Resolved(text), sources(""))
    assert compile_mesh("shop", loaded)[0].services == {}
    assert loaded.problems == ()


def test_false_stands_where_the_block_is() -> None:
    text = "services:\n  web:\n    x-mesh: false\n"
    loaded = load_compose(Resolved(text), sources(text))
    assert loaded.blocks["web"]["meshed",].place.line == 3
    assert compile_mesh("shop", loaded)[0].services == {"web": ServiceSettings("", meshed=False)}


WRITTEN = """\
services:
  web:
    imge: busybox
    image: ${NOPE?}
    x-mesh: {ports: {9080: http}}
"""


@pytest.mark.parametrize(
    ("error", "line", "message"),
    [
        # As docker compose 2.40 prints them.
        (
            "non-string key in services.web.x-mesh.ports: 9080\n",
            5,
            "non-string key in services.web.x-mesh.ports: 9080.",
        ),
        (
            "validating /x/compose.yaml: services.web additional properties 'imge' not allowed\n",
            3,
            "validating /x/compose.yaml: services.web additional properties 'imge' not allowed.",
        ),
        (
            'time="2026-11-20T19:29:10Z" level=warning msg="The \\"UNSET\\" variable is not set."\n'
            "error while interpolating services.web.image: required variable NOPE is missing a value\n",
            4,
            "error while interpolating services.web.image: required variable NOPE is missing a value.",
        ),
        (
            'service "web" depends on undefined service "nobody"\n',
            2,
            'service "web" depends on undefined service "nobody".',
        ),
        ("Invalid containerPort: abc", 0, "Invalid containerPort: abc."),
        ("\x1b[31mred\x1b[0m\r\n\x00two\n\n", 0, "red two."),
        ("", 0, "Docker Compose gave no answer and no reason."),
    ],
)
def test_what_compose_refuses(error: str, line: int, message: str) -> None:
    problem = explain(error, sources(WRITTEN))
    assert (problem.code, problem.file, problem.line, problem.message) == (
        "compose-refused",
        "compose.yaml",
        line,
        message,
    )


def test_a_key_that_compose_wants_quoted_is_explained() -> None:
    problem = explain("non-string key in services.web.x-mesh.ports: 9080", sources(WRITTEN))
    assert problem.hint.startswith("Put the key in quotes")


def test_a_syntax_error_has_the_line_that_a_person_would_name() -> None:
    raw = "services:\n  web:\n    image: busybox\n   x-mesh: 1\n"
    problem = explain("yaml: line 1: did not find expected key", sources(raw))
    assert (problem.line, problem.message) == (4, "yaml: line 1: did not find expected key.")


def test_messages_are_bounded() -> None:
    assert len(explain("x" * 100_000, sources("")).message) < 600
