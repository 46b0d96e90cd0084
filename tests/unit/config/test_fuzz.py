"""Whatever stands in a file or a label: nothing raises, nothing is applied half, and a line says why."""

from __future__ import annotations

import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from composemesh.config.compile import compile_mesh, rejected
from composemesh.config.loaders.compose import explain, load_compose
from composemesh.config.loaders.labels import load_labels
from composemesh.config.loaders.resolved import Resolved
from composemesh.config.loaders.sources import Sources
from composemesh.config.yaml import parse
from composemesh.model.problem import Severity
from composemesh.model.workload import Workload

GOOD = """\
x-mesh:
  capture: netns
  access_log: json
  admin: 127.0.0.1:15000
  exclude: {ports: [22, 25], cidrs: [10.0.0.0/8, "fd00::/8"]}
services:
  reviews-v1: &reviews
    x-mesh: {service: reviews, version: v1, ports: {"9080": http}}
    labels: {x-mesh.version: v1, "#extensions": "map[x-mesh.ports.9080:http]"}
  reviews-v2:
    <<: *reviews
    x-mesh: {service: reviews, version: v2}
  ratings:
    x-mesh: false
"""
BITS = [
    "&a ",
    "*a",
    "!!int ",
    "<<: ",
    "[",
    "]",
    "{",
    "}",
    ": ",
    "- ",
    "\n",
    "\t",
    '"',
    "'",
    "#",
    "|",
    ">",
    "%",
    "@",
    "\0",
    "\ufeff",
    "~",
]
BITS += [
    "x-mesh",
    "version",
    "9" * 30,
    "0x",
    "1e999",
    ".nan",
    "\u0665",
    "é",
    "\x85",
    "null",
    "true",
    "off",
    "-1",
    "65536",
    "!reset",
    "$$",
]
mutation = st.tuples(
    st.integers(0, len(GOOD)), st.integers(0, 12), st.one_of(st.sampled_from(BITS), st.text(max_size=8))
)


def mutated(mutations: list[tuple[int, int, str]]) -> str:
    text = GOOD
    for at, length, bit in mutations:
        text = text[:at] + bit + text[at + length :]
    return text


@given(st.lists(mutation, min_size=1, max_size=6))
def test_mutated_compose_files(mutations: list[tuple[int, int, str]]) -> None:
    text = mutated(mutations)
    file = Path("compose.yaml")
    began = time.process_time()
    document = load_compose(Resolved(text, (file,)), Sources({file: parse(text, str(file))}))
    snapshot, problems = compile_mesh("shop", document)
    assert time.process_time() - began < 2.0
    wrong = [problem for problem in problems if problem.severity is Severity.ERROR]
    assert bool(wrong) == bool(rejected(document))
    for problem in problems:
        assert problem.file == "compose.yaml"
        assert problem.message.isprintable()
        assert len(str(problem)) < 1000
    assert snapshot.project == "shop"
    for service in snapshot.services.values():
        assert all(0 < port < 65536 for port in (*service.ports, *service.exclude.ports))
        assert len(service.service) < 64
        assert len(service.version) < 64


@given(
    st.one_of(
        st.text(),
        st.binary(),
        st.text(alphabet="[]{}:,-&*!#|>%@`\"' \n\ta<?"),
        st.lists(st.sampled_from(BITS)).map("".join),
    )
)
def test_any_text(text: str | bytes) -> None:
    parsed = parse(text, "f")
    assert not (parsed.documents and parsed.problems)
    assert all(problem.severity is Severity.ERROR and problem.message.endswith(".") for problem in parsed.problems)


words = st.one_of(
    st.sampled_from(
        ["service", "version", "ports", "exclude", "cidrs", "9080", "retries", "", "x", "verison", "http", "22"]
    ),
    st.text(max_size=12),
)
names = st.lists(words, max_size=4).map(lambda parts: ".".join(["x-mesh", *parts]))
values = st.one_of(st.sampled_from(["v1", "http", "tcp", "22,25", "10.0.0.0/8", "false", ""]), st.text(max_size=40))


@given(
    st.dictionaries(
        st.one_of(names, st.just("#extensions"), st.text(max_size=10)),
        st.one_of(values, names.map("map[{}:1]".format)),
    )
)
def test_any_labels(labels: dict[str, str]) -> None:
    """One container's labels: sound and applied, or unsound and not; and its neighbour never notices."""
    neighbour = load_labels(Workload("n", "shop-api-1", "api", "2026", 1, labels={"x-mesh.version": "v1"}))
    assert neighbour is not None
    loaded = load_labels(Workload("c", "shop-web-1", "web", "2026", 1, labels=labels))
    snapshot, problems = compile_mesh("shop", containers=[neighbour, *([loaded] if loaded else [])])
    assert snapshot.services["api"].version == "v1"
    assert snapshot.services["api"].ports == {}
    if any(problem.severity is Severity.ERROR for problem in problems):
        assert "web" not in snapshot.services
    assert all(problem.message.isprintable() and len(str(problem)) < 1000 for problem in problems)


@given(st.text())
def test_any_complaint_of_compose(text: str) -> None:
    problem = explain(text, Sources({Path("compose.yaml"): parse(GOOD, "compose.yaml")}))
    assert "\n" not in problem.message
    assert problem.file == "compose.yaml"
