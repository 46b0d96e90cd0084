"""Resource documents: what is taken, what is passed over, and what is refused, with its line."""

from __future__ import annotations

import pytest

from composemesh.config.resources import load_documents
from composemesh.model.problem import Problem, Severity

RULE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts: [reviews]
"""


def only_problem(text: str | bytes) -> Problem:
    resources, problems = load_documents(text, "mesh.yaml")
    assert not resources
    assert len(problems) == 1, problems
    return problems[0]


def test_a_resource_knows_its_key_and_its_places() -> None:
    (resource,), problems = load_documents(f"# first\n---\n{RULE}", "mesh.yaml")
    assert not problems
    assert resource.key == ("networking.istio.io", "VirtualService", "reviews")
    assert (resource.origin.file, resource.origin.line) == ("mesh.yaml", 3)
    assert resource.place(("spec", "hosts")) == (8, 3)
    assert resource.place(("spec", "hosts", 0)) == (8, 11)
    assert resource.place(("spec", "http", 3)).line == 7, "the nearest ancestor"
    assert resource.document["spec"] == {"hosts": ["reviews"]}


def test_who_may_be_long_is_asked_for_its_limit() -> None:
    text = RULE + "# " + "x" * (1 << 20) + "\n"
    assert only_problem(text).code == "too-large"
    (resource,), problems = load_documents(text, max_bytes=2 << 20)
    assert not problems
    assert resource.name == "reviews"


@pytest.mark.parametrize("version", ["v1alpha3", "v1beta1", "v1"])
def test_every_version_is_the_same_resource(version: str) -> None:
    (resource,), problems = load_documents(RULE.replace("/v1", f"/{version}"))
    assert not problems
    assert resource.key.group == "networking.istio.io"


def test_items_of_a_list_have_the_places_of_the_list() -> None:
    item = RULE.replace("\n", "\n    ").rstrip()
    (resource,), problems = load_documents(f"apiVersion: v1\nkind: List\nitems:\n  - {item}\n", "mesh.yaml")
    assert not problems
    assert resource.place(("spec", "hosts")).line == 9


def test_json_is_read_too() -> None:
    text = (
        '{"apiVersion": "networking.istio.io/v1", "kind": "Sidecar",\n\t"metadata": {"name": "default"}, "spec": {}}'
    )
    (resource,), problems = load_documents(text)
    assert not problems
    assert resource.key.kind == "Sidecar"


def test_what_is_for_kubernetes_is_passed_over_with_a_word() -> None:
    text = f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: a}}\n---\n{RULE}---\n# nothing\n"
    resources, (problem,) = load_documents(text, "mesh.yaml")
    assert [resource.name for resource in resources] == ["reviews"]
    assert problem.severity is Severity.INFO
    assert (problem.code, problem.line) == ("passed-over", 1)
    assert "Deployment" in problem.message


@pytest.mark.parametrize("version", ["v1", "batch/v1", "policy/v1", "rbac.authorization.k8s.io/v1"])
def test_kubernetes_own_groups_are_noted(version: str) -> None:
    problem = only_problem(f"apiVersion: {version}\nkind: Role\nmetadata: {{name: a}}\n")
    assert (problem.severity, problem.code) == (Severity.INFO, "passed-over")


@pytest.mark.parametrize("version", ["example.com/v1", "cert-manager.io/v1", "cluster.x-k8s.io/v1", "busy/v1"])
def test_a_group_that_nobody_knows_is_warned_of_and_passed_over(version: str) -> None:
    text = f"apiVersion: {version}\nkind: Busy\nmetadata: {{name: a}}\n---\n{RULE}"
    resources, (problem,) = load_documents(text, "mesh.yaml")
    assert [resource.name for resource in resources] == ["reviews"]
    assert (problem.severity, problem.code, problem.line) == (Severity.WARNING, "unknown-kind", 1)
    assert f"Busy ({version})" in problem.message
    assert "Kubernetes" not in problem.message
    assert "plugin" in problem.hint


@pytest.mark.parametrize(
    ("old", "new", "code", "line", "words"),
    [
        ("kind: VirtualService", "kind: VirtualServise", "unknown-kind", 2, "`VirtualService`"),
        ("networking.istio.io/v1", "networking.istio.io/v2", "wrong-api-version", 1, "networking.istio.io/v1"),
        ("networking.istio.io/v1", "security.istio.io/v1", "unknown-kind", 2, "networking.istio.io/v1"),
        ("networking.istio.io/v1", "v1", "wrong-api-version", 1, "networking.istio.io/v1"),
        ("networking.istio.io/v1", "networking.itsio.io/v1", "wrong-api-version", 1, "networking.istio.io/v1"),
        ("networking.istio.io/v1", "config.istio.io/v1", "wrong-api-version", 1, "config.istio.io"),
        ("name: reviews", "name: Reviews_1", "wrong-value", 4, "lowercase"),
        ("name: reviews", "name: 7", "wrong-value", 4, "quotes"),
        ("name: reviews", "namespace: shop", "missing-field", 3, "metadata.name"),
        ("  name: reviews", "  name: reviews\n  namespace: 7", "wrong-value", 5, "metadata.namespace"),
        ("  name: reviews", "  name: reviews\n  labels: {a: 1}", "wrong-type", 5, "quotes"),
        ("  name: reviews", "  name: reviews\n  labels: x", "wrong-type", 5, "mapping"),
        ("  name: reviews", "  name: reviews\n  nmespace: a", "unknown-field", 5, "namespace"),
        ("spec:", "specs:", "unknown-field", 5, "spec"),
        ("spec:\n  hosts: [reviews]", "spec: []", "wrong-type", 5, "mapping"),
        ("kind: VirtualService\n", "", "missing-field", 1, "kind"),
        ("apiVersion: networking.istio.io/v1\n", "", "missing-field", 1, "apiVersion"),
    ],
)
def test_an_envelope_that_is_wrong_is_refused_where_it_stands(
    old: str, new: str, code: str, line: int, words: str
) -> None:
    assert old in RULE
    problem = only_problem(RULE.replace(old, new, 1))
    assert problem.severity is Severity.ERROR
    assert (problem.code, problem.file, problem.line) == (code, "mesh.yaml", line)
    assert words in f"{problem.message} {problem.hint}"


def test_a_name_stands_once() -> None:
    resources, (problem,) = load_documents(f"{RULE}---\n{RULE}", "mesh.yaml")
    assert len(resources) == 1
    assert (problem.code, problem.line) == ("duplicate-name", 8)
    assert "line 1" in problem.message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: [", "invalid-yaml"),
        (b"\xff\xfe", "invalid-yaml"),
        ("- 1\n", "wrong-type"),
        ("services: {a: {image: b}}", "missing-field"),
        ("apiVersion: v1\nkind: List\nitems: 7", "wrong-type"),
        ("x: " + "y" * (50 << 20), "too-large"),
        ("a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]",
         "too-many-aliases"),
    ],
    ids=["no-yaml", "no-text", "no-mapping", "compose", "list", "50-mib", "billion-laughs"],
)  # fmt: skip
def test_hostile_text_is_one_problem(text: str | bytes, code: str) -> None:
    problem = only_problem(text)
    assert (problem.code, problem.severity) == (code, Severity.ERROR)
