"""Hostile documents: whatever stands in them, there is an answer, with bounded messages and no exception."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from composemesh.config.analysis import analyse
from composemesh.config.kinds import KINDS
from composemesh.config.kinds.http_match import TextMatch
from composemesh.config.resources import Compiled, compile_resources, load_documents
from composemesh.config.schema.fields import Fate, Type
from composemesh.config.schema.messages import Message, Repeated, Table
from composemesh.config.schema.network import Address, Host, PortNumber, PortText, Subnet
from composemesh.config.schema.scalars import Base64, Duration, Flag, Number, Regex, Words

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
    """Values that are right by themselves: only those get past the tables and into what compiles them."""
    if isinstance(type_, Message):
        return st.deferred(lambda: _message(type_, depth))
    if isinstance(type_, Repeated):
        return st.lists(st.deferred(lambda: plausible(type_.item, depth + 1)), min_size=1, max_size=3)
    if isinstance(type_, Table):
        value = st.deferred(lambda: plausible(type_.value, depth + 1))
        return st.dictionaries(st.sampled_from(["a", "b", "host"]), value, max_size=2)
    if isinstance(type_, Words):
        return st.sampled_from([*type_.words, *type_.later, *type_.deprecated])
    if isinstance(type_, Number):
        return st.sampled_from([int(max(type_.minimum, min(number, type_.maximum))) for number in (0, 1, 50, 503)])
    known: dict[type, st.SearchStrategy[Any]] = {
        Duration: st.sampled_from(["1s", "20ms", "1h30m"]),
        Flag: st.booleans(),
        Host: st.sampled_from(["reviews", "ratings", "a.b", "a.prod.svc.cluster.local"]),
        PortNumber: st.sampled_from([1, 80, 65535]),
        Subnet: st.sampled_from(["10.0.0.0/8", "::1"]),
        Address: st.just("127.0.0.1"),
        PortText: st.sampled_from(["80", "443"]),
        Base64: st.just("aGk="),
        Regex: st.sampled_from(["a+", "/v[0-9]"]),
        TextMatch: st.sampled_from([{"exact": "/a"}, {"prefix": "/"}, {"regex": "a+"}, {"prefix": "/a"}]),
    }
    return known.get(type(type_), st.sampled_from(["a", "b", "v1", "team", "mesh", "web", "/a"]))


def _message(message: Message, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    def field(name: str) -> st.SearchStrategy[Any]:
        return plausible(message.fields[name].type, depth + 1)

    needed = [name for name, one in message.fields.items() if one.required]
    others = [name for name, one in message.fields.items() if one.fate is not Fate.REFUSED and name not in needed]
    most = 4 if depth < 5 else 1
    names = st.sets(st.sampled_from(others), min_size=not needed, max_size=most) if others else st.just(set())
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: field(name) for name in (*needed, *chosen)}))


@st.composite
def spoiled(draw: st.DrawFn, said: Any) -> Any:
    """The same with something else in one place."""
    if isinstance(said, dict) and said and draw(st.integers(0, 5)):
        name = draw(st.sampled_from(sorted(said)))
        return said | {name: draw(spoiled(said[name]))}
    if isinstance(said, list) and said and draw(st.integers(0, 5)):
        index = draw(st.integers(0, len(said) - 1))
        return [*said[:index], draw(spoiled(said[index])), *said[index + 1 :]]
    return draw(ANYTHING)


def documents() -> st.SearchStrategy[list[dict[str, Any]]]:
    kinds = [*KINDS, *[kind for kind in KINDS if kind.compile is not None] * 4]
    one = st.sampled_from(kinds).flatmap(
        lambda kind: st.fixed_dictionaries(
            {
                "apiVersion": st.just(kind.api_version),
                "kind": st.just(kind.name),
                "metadata": st.fixed_dictionaries({"name": st.sampled_from(["a", "b", "team", "web"])}),
                "spec": plausible(kind.spec).flatmap(lambda spec: st.one_of(st.just(spec), spoiled(spec))),
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


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=80)
@given(documents())
def test_documents_that_are_mostly_right(said: Any) -> None:
    resources, problems = load_documents(yaml.safe_dump_all(said), "mesh.yaml")
    for one in problems:
        assert one.line
    told(compile_resources(resources, "", ["reviews"]))
    told(compile_resources(resources, "shop", []))


@settings(max_examples=200)
@given(ANYTHING)
@example({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "a"}, "spec": []})
@example({"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "List", "items": [[]]}]})
@example({"apiVersion": "\u0000", "kind": "%s{}", "metadata": []})
def test_anything_at_all(said: Any) -> None:
    resources, problems = load_documents(yaml.safe_dump(said), "mesh.yaml")
    assert all(problem.message.isprintable() for problem in problems)
    told(compile_resources(resources, "", []))


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_bytes(text: bytes) -> None:
    resources, _ = load_documents(text)
    told(compile_resources(resources, "shop", []))
