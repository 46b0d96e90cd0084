"""`split`: what it makes of what is there."""

from __future__ import annotations

from typing import Any

import pytest

from composemesh.cli.get import evaluate
from composemesh.cli.split import routes, subsets, weights_of
from composemesh.stack.errors import CallError

V1 = {"destination": {"host": "reviews", "subset": "v1"}}
JASON = {"match": [{"headers": {"end-user": {"exact": "jason"}}}], "route": [V1]}


def virtual(*rules: dict[str, Any]) -> dict[str, Any]:
    spec = {"hosts": ["reviews.default.svc"], "http": [*rules]}
    return {"kind": "VirtualService", "metadata": {"name": "mine"}, "spec": spec}


def weights(document: dict[str, Any]) -> dict[str, int]:
    return {arm["destination"]["subset"]: arm["weight"] for arm in document["spec"]["http"][-1]["route"]}


def test_weights() -> None:
    assert weights_of(("v1=90", "v2=10%")) == {"v1": 90, "v2": 10}
    for wrong in (("v1",), ("v1=-1",), ("v1=1", "v1=2"), ("v1=0", "v2=0"), ("=1",)):
        with pytest.raises(CallError):
            weights_of(wrong)


def test_nothing_is_there_yet() -> None:
    made = routes("reviews", {"v1": 90, "v2": 10}, [])
    assert (made["metadata"]["name"], made["spec"]["hosts"]) == ("reviews", ["reviews"])
    assert weights(made) == {"v1": 90, "v2": 10}
    assert subsets("reviews", {"v1": 1}, [])["spec"] == {
        "host": "reviews",
        "subsets": [{"name": "v1", "labels": {"version": "v1"}}],
    }


def test_rules_with_conditions_stay_and_come_first() -> None:
    before = virtual(JASON, {"route": [V1], "timeout": "2s"})
    made = routes("reviews", {"v1": 50, "v3": 50}, [before])
    assert made["metadata"]["name"] == "mine"
    assert made["spec"]["http"][0] == JASON
    assert made["spec"]["http"][1]["timeout"] == "2s"
    assert weights(made) == {"v1": 50, "v3": 50}
    assert before["spec"]["http"][1]["route"] == [V1]  # what was handed in is left alone
    assert len(routes("reviews", {"v1": 1}, [virtual(JASON)])["spec"]["http"]) == 2


def test_subsets_that_are_there_are_kept() -> None:
    spec = {"host": "reviews", "subsets": [{"name": "v1", "labels": {"app": "x"}}]}
    made = subsets("reviews", {"v1": 1, "v2": 1}, [{"kind": "DestinationRule", "spec": spec}])
    assert [subset["labels"] for subset in made["spec"]["subsets"]] == [{"app": "x"}, {"version": "v2"}]


@pytest.mark.parametrize(
    ("template", "printed"),
    [
        ("{.spec.http[0].match[0].uri}", '{"exact":"/hello"}'),
        ("{.metadata.name}", "a"),
        ("name={.metadata.name}{'\\n'}", "name=a\n"),
        ("{.spec.http[*].match[*].uri.exact}", "/hello"),
        ("{.nothing}", ""),
    ],
)
def test_jsonpath(template: str, printed: str) -> None:
    document = {"metadata": {"name": "a"}, "spec": {"http": [{"match": [{"uri": {"exact": "/hello"}}]}]}}
    assert evaluate(template, document) == printed


@pytest.mark.parametrize("template", ["{.spec[}", "{.spec", ".spec}", "{.kind}{.spec"])
def test_a_jsonpath_that_is_none(template: str) -> None:
    with pytest.raises(CallError, match="jsonpath"):
        evaluate(template, {})
