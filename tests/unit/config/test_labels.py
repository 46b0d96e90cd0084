"""Labels of containers: the flattened form, the form that Compose mangles, and what they may not do."""

from __future__ import annotations

import pytest

from composemesh.config.loaders.labels import MAX_LABELS, MAX_LENGTH, load_labels, mesh_labels, read_labels
from composemesh.model.problem import Severity
from composemesh.model.snapshot import Protocol
from composemesh.model.workload import Workload


def workload(labels: dict[str, str], *, oneoff: bool = False) -> Workload:
    return Workload("c0ffee", "shop-reviews-1", "reviews", "2026-01-01", 42, labels=labels, oneoff=oneoff)


def test_the_flattened_form() -> None:
    labels = {
        "x-mesh.service": "reviews",
        "x-mesh.version": "1.10",
        "x-mesh.ports.9080": "http",
        "x-mesh.exclude.ports": "22, 25",
        "x-mesh.exclude.cidrs": "10.0.0.0/8",
    }
    reading = read_labels(labels)
    assert reading.findings == []
    assert reading.said == {
        ("service",): "reviews",
        ("version",): "1.10",
        ("ports", "9080"): Protocol.HTTP,
        ("exclude", "ports"): (22, 25),
        ("exclude", "cidrs"): ("10.0.0.0/8",),
    }


def test_a_label_without_a_path_switches_the_service() -> None:
    assert read_labels({"x-mesh": "false", "x-mesh.version": "v2"}).said == {("meshed",): False, ("version",): "v2"}


@pytest.mark.parametrize(
    ("printed", "labels"),
    [
        ("map[x-mesh.version:v1]", {"x-mesh.version": "v1"}),
        ("map[x-mesh.ports.9080:http x-mesh.version:v1]", {"x-mesh.ports.9080": "http", "x-mesh.version": "v1"}),
        ("map[x-mesh:false x-other:a b c]", {"x-mesh": "false"}),
        ("map[x-mesh.exclude.cidrs:fd00::/8, 10.0.0.0/8 x-z:1]", {"x-mesh.exclude.cidrs": "fd00::/8, 10.0.0.0/8"}),
        ("map[x-mesh.version:<nil>]", {"x-mesh.version": ""}),
        ("map[]", {}),
        ("x-mesh.version:v1", {}),
        ("map[x-mesh.version:v1", {}),
    ],
)
def test_labels_of_the_mapping_form_as_compose_mangles_them(printed: str, labels: dict[str, str]) -> None:
    assert mesh_labels({"#extensions": printed, "x-meshed": "no", "other": "y"}) == labels


def test_a_label_that_survived_wins_over_a_mangled_one() -> None:
    labels = {"#extensions": "map[x-mesh.version:v1]", "x-mesh.version": "v2"}
    assert mesh_labels(labels) == {"x-mesh.version": "v2"}


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        ({"x-mesh.verison": "v1"}, "unknown-key"),
        ({"x-mesh.": "v1"}, "unknown-key"),
        ({"x-mesh..version": "v1"}, "unknown-key"),
        ({"x-mesh.version.x": "v1"}, "wrong-type"),
        ({"x-mesh.version": ""}, "wrong-value"),
        ({"x-mesh.ports": "http"}, "wrong-type"),
        ({"x-mesh.exclude.ports": "22;25"}, "wrong-value"),
        ({"x-mesh": "perhaps"}, "wrong-type"),
        ({"x-mesh.service": "x" * (MAX_LENGTH + 1)}, "too-large"),
        ({"x-mesh." + "x." * MAX_LENGTH: "v1"}, "too-large"),
        ({f"x-mesh.ports.{port}": "http" for port in range(1, MAX_LABELS + 2)}, "too-large"),
        # labels speak for a service, never for the mesh
        ({"x-mesh.admin": "127.0.0.1:1"}, "unknown-key"),
        ({"x-mesh.capture": "none"}, "unknown-key"),
    ],
)
def test_mistakes(labels: dict[str, str], code: str) -> None:
    loaded = load_labels(workload(labels))
    assert loaded is not None
    (problem,) = loaded.problems
    assert (problem.code, problem.severity) == (code, Severity.ERROR)
    assert problem.message.startswith("labels of container shop-reviews-1: ")
    assert (problem.resource, problem.file, problem.line) == ("container shop-reviews-1", "", 0)
    assert not loaded.sound


def test_a_value_that_is_also_a_group_is_named() -> None:
    loaded = load_labels(workload({"x-mesh.ports": "http", "x-mesh.ports.9080": "http"}))
    assert loaded is not None
    assert [problem.code for problem in loaded.problems] == ["wrong-type", "wrong-type"]
    assert "x-mesh.ports.9080" in loaded.problems[0].message


def test_words_of_later_versions_leave_the_rest_in_force() -> None:
    loaded = load_labels(workload({"x-mesh.jwt.issuer": "a", "x-mesh.jwt.jwks": "b", "x-mesh.version": "v1"}))
    assert loaded is not None
    assert loaded.sound
    assert [problem.code for problem in loaded.problems] == ["not-carried-out"]
    assert {path: said.value for path, said in loaded.said.items()} == {("version",): "v1"}


def test_who_is_not_heard() -> None:
    assert load_labels(workload({"other": "label"})) is None
    assert load_labels(workload({"x-mesh.version": "v1"}, oneoff=True)) is None
    assert load_labels(workload({"x-mesh.version": "v1"}), known={"x-mesh.version"}) is None
