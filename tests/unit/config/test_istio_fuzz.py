"""Hostile documents: whatever stands in them, there is an answer, with bounded messages and no exception."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from composemesh.config.analysis import analyse
from composemesh.config.kinds import KINDS
from composemesh.config.resources import Compiled, compile_resources, load_documents
from composemesh.config.schema.messages import Field, Message, Repeated, Table, Type
from composemesh.config.schema.scalars import Duration, Flag, Host, Number, PortNumber, Words

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True),
    st.text(max_size=12),
    st.sampled_from(
        ["", "*", "*.a", "1s", "/", "a/b", "(", "[", "0", "mesh", "10.0.0.0/8", "::1", "%s", "\u202e", "{}"]
    ),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
)


def plausible(type_: Type, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that are mostly right: only those get past the tables and into what compiles them."""
    if depth > 7:
        return SCALARS
    if isinstance(type_, Message):
        return st.deferred(lambda: _message(type_, depth))
    if isinstance(type_, Repeated):
        return st.lists(st.deferred(lambda: plausible(type_.item, depth + 1)), max_size=3)
    if isinstance(type_, Table):
        names = st.sampled_from(["a", "b", "host", ":authority", "80", "x-y", "bad name", ""])
        return st.dictionaries(names, st.deferred(lambda: plausible(type_.value, depth + 1)), max_size=2)
    known: dict[type, st.SearchStrategy[Any]] = {
        Duration: st.sampled_from(["1s", "0s", "1h30m", "5"]),
        Flag: st.booleans(),
        Host: st.sampled_from(["reviews", "*", "*.a.b", "a.b", "./reviews", "1.2.3.4", "A b"]),
        PortNumber: st.sampled_from([1, 80, 80, 65535, 0, 70000]),
    }
    if isinstance(type_, Words):
        return st.sampled_from([*type_.words, *type_.later, *type_.deprecated, "NOT_ONE"])
    if isinstance(type_, Number):
        return st.sampled_from([0, 1, 50, 100, int(type_.minimum), 10**12])
    return known.get(
        type(type_), st.sampled_from(["a", "b", "/a", "v1", "10.0.0.0/8", "reviews", "team", "x(", "*", ""])
    )


def _message(message: Message, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    needed = {name: _field(field, depth) for name, field in message.fields.items() if field.required}
    others = {name: _field(field, depth) for name, field in message.fields.items() if not field.required}
    names = st.sets(st.sampled_from(sorted(others)), max_size=3) if others else st.just(set())
    return names.flatmap(
        lambda chosen: st.fixed_dictionaries(
            needed | {name: others[name] for name in chosen}, optional={"nonsense": SCALARS} if depth == 2 else {}
        )
    )


def _field(field: Field, depth: int) -> st.SearchStrategy[Any]:
    return st.one_of(*[plausible(field.type, depth + 1)] * 8, SCALARS)


def documents() -> st.SearchStrategy[list[dict[str, Any]]]:
    one = st.sampled_from(KINDS).flatmap(
        lambda kind: st.fixed_dictionaries(
            {
                "apiVersion": st.just(kind.api_version),
                "kind": st.just(kind.name),
                "metadata": st.fixed_dictionaries({"name": st.sampled_from(["a", "b", "team", "web"])}),
                "spec": st.one_of(*[plausible(kind.spec)] * 9, ANYTHING),
            }
        )
    )
    return st.lists(one, min_size=1, max_size=4)


def told(made: Compiled) -> None:
    problems = (*made.problems, *analyse(made, {"reviews": (80,)}), *analyse(made))
    for problem in problems:
        assert problem.message.isprintable()
        assert len(str(problem)) < 3000
        assert problem.code


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=300)
@given(documents())
def test_documents_that_are_mostly_right(said):
    resources, problems = load_documents(yaml.safe_dump_all(said), "mesh.yaml")
    for one in problems:
        assert one.line
    told(compile_resources(resources, "", ["reviews"]))
    told(compile_resources(resources, "shop", []))


@settings(deadline=None, max_examples=200)
@given(ANYTHING)
@example({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "a"}, "spec": []})
@example({"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "List", "items": [[]]}]})
@example({"apiVersion": "\u0000", "kind": "%s{}", "metadata": []})
def test_anything_at_all(said):
    resources, problems = load_documents(yaml.safe_dump(said), "mesh.yaml")
    assert all(problem.message.isprintable() for problem in problems)
    told(compile_resources(resources, "", []))


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_bytes(text):
    resources, _ = load_documents(text)
    told(compile_resources(resources, "shop", []))
