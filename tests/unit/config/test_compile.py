"""From what was said to the snapshot: precedence, sharing, conflicts, and whom a mistake reaches."""

from __future__ import annotations

from pathlib import Path

import pytest

from composemesh.config.compile import compile_mesh, rejected
from composemesh.config.loaders.compose import ComposeDocument, load_compose
from composemesh.config.loaders.labels import ContainerLabels, load_labels
from composemesh.config.loaders.resolved import Resolved
from composemesh.config.loaders.sources import Sources
from composemesh.config.yaml import parse
from composemesh.model.problem import Problem, Severity
from composemesh.model.snapshot import (
    AccessLog,
    CaptureMode,
    Exclude,
    MeshSettings,
    Protocol,
    ServiceSettings,
    Snapshot,
)
from composemesh.model.workload import Workload


def document(text: str) -> ComposeDocument:
    return load_compose(Resolved(text), Sources({Path("compose.yaml"): parse(text, "compose.yaml")}))


def container(
    service: str, labels: dict[str, str], *, number: int = 1, started: str = "2026-01-01"
) -> ContainerLabels:
    loaded = load_labels(Workload(f"id{number}", f"shop-{service}-{number}", service, started, 1, labels=labels))
    assert loaded is not None
    return loaded


def services(text: str = "", *containers: ContainerLabels) -> dict[str, ServiceSettings]:
    snapshot, problems = compile_mesh("shop", document(text), containers)
    assert problems == ()
    return dict(snapshot.services)


def problems(text: str = "", *containers: ContainerLabels) -> tuple[Problem, ...]:
    return compile_mesh("shop", document(text), containers)[1]


def test_nothing_said_is_a_working_mesh() -> None:
    assert compile_mesh("shop") == (Snapshot("shop"), ())
    web = Snapshot("shop", names=frozenset({"web"}))
    assert compile_mesh("shop", document("services: {web: {image: x}}")) == (web, ())


def test_the_top_level() -> None:
    text = """
    x-mesh:
      capture: none
      access_log: json
      admin: "[::1]:15001"
      exclude: {ports: [22], cidrs: [10.0.0.0/8]}
    """
    expected = MeshSettings(
        CaptureMode.NONE, Exclude((22,), ("10.0.0.0/8",)), "::1", 15001, {"access_log": AccessLog.JSON}
    )
    assert compile_mesh("shop", document(text))[0].mesh == expected


def test_equal_documents_are_equal_snapshots() -> None:
    one = document("services: {b: {x-mesh: {ports: {'2': http, '1': tcp}}}, a: {x-mesh: {version: v1}}}")
    two = document(
        "services: {a: {x-mesh: {version: v1}}, b: {x-mesh: {ports: {'1': tcp, '2': http}}}}\n# other lines\n"
    )
    assert compile_mesh("shop", one) == compile_mesh("shop", two)


def test_a_label_wins_over_the_service_block_key_by_key() -> None:
    text = "services: {web: {x-mesh: {version: v1, service: w, ports: {'80': http, '81': tcp}}}}"
    label = container("web", {"x-mesh.version": "v2", "x-mesh.ports.80": "tcp"})
    assert services(text, label) == {
        "web": ServiceSettings("w", "v2", ports={80: Protocol.TCP, 81: Protocol.TCP})
    }  # fmt: skip


def test_a_label_in_the_file_wins_over_the_same_label_of_a_container_made_before_the_edit() -> None:
    text = "services: {web: {x-mesh: {version: v1}, labels: {x-mesh.version: v3}}}"
    assert services(text, container("web", {"x-mesh.version": "v2"}))["web"].version == "v3"


def test_a_service_that_is_left_alone_keeps_its_other_settings() -> None:
    text = "services: {db: {x-mesh: false, labels: {x-mesh.version: v1}}}"
    assert services(text) == {"db": ServiceSettings("", "v1", meshed=False)}


def test_labels_alone_configure() -> None:
    assert services("", container("web", {"x-mesh": "false"}), container("api", {"x-mesh.version": "v2"})) == {
        "api": ServiceSettings("", "v2"),
        "web": ServiceSettings("", "", meshed=False),
    }


SHARED = """
services:
  reviews-v1:
    x-mesh: {service: reviews, version: v1, ports: {"9080": http}}
  reviews-v2:
    x-mesh: {service: reviews, version: v2, exclude: {ports: [22]}}
  other:
    x-mesh: {ports: {"9080": tcp}}
"""


def test_compose_services_that_share_a_service_share_its_ports_and_nothing_else() -> None:
    assert services(SHARED) == {
        "other": ServiceSettings("", ports={9080: Protocol.TCP}),
        "reviews-v1": ServiceSettings("reviews", "v1", ports={9080: Protocol.HTTP}),
        "reviews-v2": ServiceSettings("reviews", "v2", ports={9080: Protocol.HTTP}, exclude=Exclude((22,))),
    }


def test_settings_that_differ_in_two_places_name_both_and_reject_the_document() -> None:
    text = SHARED.replace("version: v2,", 'version: v2, ports: {"9080": tcp},')
    (problem,) = problems(text)
    assert (problem.code, problem.severity) == ("conflicting-settings", Severity.ERROR)
    assert (problem.file, problem.line, problem.resource) == ("compose.yaml", 6, "service reviews")
    assert "compose.yaml:4" in problem.message
    assert "compose.yaml:6" in problem.message
    assert rejected(document(text)) == (problem,)


def test_a_compose_service_of_that_name_is_a_member_too() -> None:
    text = 'services: {a: {x-mesh: {service: b, ports: {"1": tcp}}}, b: {x-mesh: {ports: {"1": http}}}}'
    assert [problem.code for problem in problems(text)] == ["conflicting-settings"]


def test_a_label_of_a_container_speaks_for_its_own_service_only() -> None:
    joining = container("evil", {"x-mesh.service": "reviews", "x-mesh.ports.1": "tcp"})
    found = services(SHARED, joining)
    assert found["evil"].ports == {1: Protocol.TCP, 9080: Protocol.HTTP}
    assert found["reviews-v1"] == services(SHARED)["reviews-v1"]
    assert found["reviews-v2"] == services(SHARED)["reviews-v2"]


def test_a_label_that_contradicts_the_file_is_left_out_with_all_of_its_container() -> None:
    contradicting = container("evil", {"x-mesh.service": "reviews", "x-mesh.ports.9080": "tcp"})
    snapshot, (problem,) = compile_mesh("shop", document(SHARED), [contradicting])
    assert snapshot == compile_mesh("shop", document(SHARED))[0]
    assert (problem.code, problem.file, problem.line) == ("conflicting-settings", "", 0)
    assert "container shop-evil-1" in problem.message
    assert "compose.yaml:4" in problem.message


def test_two_labels_that_contradict_each_other_are_both_left_out() -> None:
    one = container("a", {"x-mesh.service": "s", "x-mesh.ports.1": "tcp"})
    two = container("b", {"x-mesh.service": "s", "x-mesh.ports.1": "http"})
    fine = container("c", {"x-mesh.service": "s", "x-mesh.version": "v1"})
    snapshot, found = compile_mesh("shop", containers=[one, two, fine])
    assert list(snapshot.services) == ["c"]
    assert [problem.code for problem in found] == ["conflicting-settings"]


def test_one_bad_label_set_degrades_its_service_and_no_other() -> None:
    text = "services: {web: {x-mesh: {version: v1}}, api: {x-mesh: {version: v1}}}"
    bad = container("web", {"x-mesh.version": "v2", "x-mesh.verison": "v3"})
    good = container("api", {"x-mesh.version": "v2"})
    snapshot, (problem,) = compile_mesh("shop", document(text), [bad, good])
    assert {name: service.version for name, service in snapshot.services.items()} == {"api": "v2", "web": "v1"}
    assert problem.resource == "container shop-web-1"


@pytest.mark.parametrize("newest_first", [True, False])
def test_containers_of_one_service_that_differ(newest_first: bool) -> None:
    old = container("web", {"x-mesh.version": "v1"}, started="2026-01-01")
    new = container("web", {"x-mesh.version": "v2", "x-mesh.service": "w"}, number=2, started="2026-01-02")
    snapshot, (problem,) = compile_mesh("shop", containers=[new, old] if newest_first else [old, new])
    assert snapshot.services["web"] == ServiceSettings("w", "v1")
    assert (problem.code, problem.severity) == ("labels-differ", Severity.WARNING)
    assert "shop-web-1" in problem.message
    assert problem.resource == "container shop-web-2"


def test_warnings_reject_nothing() -> None:
    text = "x-mesh: {mtls: strict, access_log: text}"
    assert rejected(document(text)) == ()
    snapshot, found = compile_mesh("shop", document(text))
    assert snapshot.mesh.sinks == {"access_log": AccessLog.TEXT}
    assert [problem.code for problem in found] == ["not-carried-out"]
