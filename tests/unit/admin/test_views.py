"""The JSON shapes: exact fields, exact sums, and a reason for everything that is not as it should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from composemesh.admin import graph_views
from composemesh.admin.mesh_view import MeshView
from composemesh.model.peer import UNKNOWN, PeerKind
from composemesh.model.problem import Problem, Severity
from composemesh.model.record import unreached
from composemesh.model.workload import Discovered, Health, Impostor, State
from unit.admin.conftest import Clock

from .conftest import captured, peer, workload


def test_status_has_the_promised_shape(mesh: MeshView) -> None:
    mesh.admin_url = "http://127.0.0.1:15000"
    status = mesh.status()
    assert status.keys() >= {
        *("project", "pid", "version", "state", "admin_url", "xds_url", "mtls", "capture", "services", "problems"),
    }
    assert (status["project"], status["state"], status["capture"]) == ("shop", "serving", "auto")
    page, reviews = status["services"]
    assert page["name"] == "productpage"
    assert reviews == {
        "name": "reviews",
        "versions": ["v1"],
        "workloads": [
            {
                "name": "shop-reviews-v1-1",
                "version": "v1",
                "address": "10.0.0.11",
                "health": "none",
                "captured": True,
                "reason": "",
                "kind": "container",
            }
        ],
        "ports": [],
        "requests_per_second": 0.0,
        "success_rate": None,
        "p50_ms": None,
        "p99_ms": None,
    }
    assert mesh.services() == status["services"]


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({}, "none"),
        ({"health": Health.UNHEALTHY}, "unhealthy"),
        ({"health": Health.HEALTHY, "state": State.PAUSED}, "paused"),
        ({"health": Health.HEALTHY, "state": State.STOPPING}, "stopping"),
    ],
)
def test_health_is_what_decides_about_requests(mesh: MeshView, more: dict[str, Any], shown: str) -> None:
    mesh.discovered.publish(Discovered((workload("web", **more),)))
    assert mesh.services()[0]["workloads"][0]["health"] == shown


def test_who_is_left_out_is_shown_with_its_time(mesh: MeshView) -> None:
    mesh.ejected = lambda service, _life: 24.2 if service == "productpage" else 0.0
    shown = [one for service in mesh.status()["services"] for one in service["workloads"]]
    left_out = [one for one in shown if one["health"] == "ejected"]
    assert left_out
    assert all("25 s" in one["reason"] and "productpage" in one["name"] for one in left_out)


def test_what_is_not_captured_has_a_reason(mesh: MeshView) -> None:
    host, late = workload("host"), workload("late")
    mesh.discovered.publish(Discovered((host, late)))
    mesh.captures.publish(captured(refused={host.id: "It shares the host's network."}))
    reasons = {entry["name"]: entry["workloads"][0]["reason"] for entry in mesh.services()}
    assert reasons == {
        "host": "It shares the host's network.",
        "late": "Not captured yet.",
    }


def test_states(mesh: MeshView) -> None:
    mesh.ready = False
    assert mesh.status()["state"] == "starting"
    mesh.ready = True
    assert mesh.status()["state"] == "serving"
    mesh.problems.publish((Problem(Severity.WARNING, "odd", "Odd."),))
    assert mesh.status()["state"] == "serving"
    mesh.problems.publish(
        (Problem(Severity.ERROR, "unknown-key", "No such key.", "Write `ports`.", "compose.yaml", 3, 5),)
    )
    status = mesh.status()
    assert status["state"] == "degraded"
    assert status["problems"] == [
        {
            "severity": "error",
            "code": "unknown-key",
            "message": "No such key.",
            "hint": "Write `ports`.",
            "file": "compose.yaml",
            "line": 3,
            "column": 5,
            "resource": "",
        }
    ]


def test_a_source_in_trouble_degrades_and_says_so(mesh: MeshView) -> None:
    mesh.discovered.publish(replace(mesh.discovered.value, trouble="The Docker engine has not answered for 12 s."))
    status = mesh.status()
    assert status["state"] == "degraded"
    (told,) = status["problems"]
    assert (told["severity"], told["code"]) == ("warning", "source-unreachable")
    assert "12 s" in told["message"]
    assert len(status["services"]) == 2


def test_an_impostor_is_named_once_and_is_no_workload(mesh: MeshView) -> None:
    impostor = Impostor("x", "evil", "registry/evil:1", "reviews")
    mesh.discovered.publish(replace(mesh.discovered.value, impostors=(impostor,)))
    status = mesh.status()
    (told,) = status["problems"]
    assert (told["severity"], told["code"], told["resource"]) == ("warning", "impostor", "container evil")
    for word in ("evil", "registry/evil:1", "reviews"):
        assert word in told["message"]
    assert status["state"] == "serving"
    assert "evil" not in str(status["services"])


def test_rates_are_those_of_the_last_minute(mesh: MeshView, tell: Callable[..., None], clock: Clock) -> None:
    clock.now = 2000.0
    for _ in range(75):
        tell(peer("productpage"), peer("reviews/v1"), duration=0.02)
    for _ in range(25):
        tell(UNKNOWN, unreached("reviews"), 503, duration=0.5)
    clock.now = 2000.0 + 50
    reviews = mesh.services()[1]
    assert reviews["success_rate"] == 0.75
    assert reviews["requests_per_second"] == pytest.approx(100 / 59, abs=0.001)
    assert reviews["p50_ms"] == pytest.approx(20, rel=0.05)
    assert reviews["p99_ms"] == pytest.approx(500, rel=0.05)
    clock.now += 60
    assert mesh.services()[1]["success_rate"] is None
    assert mesh.services()[1]["requests_per_second"] == 0


def test_a_young_mesh_reckons_by_its_own_age(mesh: MeshView, tell: Callable[..., None], clock: Clock) -> None:
    clock.now += 4
    for _ in range(40):
        tell(UNKNOWN, peer("reviews/v1"))
    assert mesh.services()[1]["requests_per_second"] == 10


def test_connections_are_not_latencies(mesh: MeshView, tell: Callable[..., None], clock: Clock) -> None:
    clock.now += 100
    tell(peer("productpage"), peer("reviews/v1"), 0, protocol="tcp", duration=3000)
    reviews = mesh.services()[1]
    assert (reviews["success_rate"], reviews["p50_ms"]) == (1.0, None)


def test_graph_has_the_promised_shape_and_exact_sums(mesh: MeshView, tell: Callable[..., None], clock: Clock) -> None:
    page, details, reviews = peer("productpage"), peer("details"), peer("reviews/v1")
    for number in range(200):
        tell(UNKNOWN, page)
        tell(page, details)
        tell(page, peer("reviews/v1", number=number % 3), 500 if number % 10 == 0 else 200)
        clock.now += 7
    graph = mesh.graph(None)
    assert graph["window_seconds"] == 1400
    edges = {(edge["source"], edge["destination"]): edge for edge in graph["edges"]}
    assert {ends: edge["requests"] for ends, edge in edges.items()} == {
        ("unknown", "productpage/latest"): 200,
        ("productpage/latest", "details/latest"): 200,
        ("productpage/latest", "reviews/v1"): 200,
    }
    assert edges["productpage/latest", "reviews/v1"] == {
        "source": "productpage/latest",
        "destination": "reviews/v1",
        "protocol": "http",
        "requests": 200,
        "errors": 20,
        "p50_ms": pytest.approx(20, rel=0.05),
        "p99_ms": pytest.approx(20, rel=0.05),
        "bytes_sent": 20000,
        "bytes_received": 2000,
        "mtls": False,
    }
    assert {"id": "reviews/v1", "service": "reviews", "version": "v1", "kind": "service"} in graph["nodes"]
    assert {"id": "unknown", "service": "unknown", "version": "unknown", "kind": "unknown"} in graph["nodes"]
    recent = mesh.graph(60)
    assert recent["window_seconds"] == 60
    # The present second is one of the sixty and the last request is seven ago: those 7, 14 … 56 seconds old.
    assert {edge["requests"] for edge in recent["edges"]} == {8}
    clock.now += 400
    assert mesh.graph(300)["edges"] == []
    del reviews


def test_services_without_traffic_are_nodes_too(mesh: MeshView) -> None:
    graph = mesh.graph()
    assert [node["id"] for node in graph["nodes"]] == ["productpage/latest", "reviews/v1"]
    assert graph["edges"] == []


def test_ids_of_other_kinds_collide_with_no_service(mesh: MeshView, tell: Callable[..., None]) -> None:
    tell(peer("unknown/unknown"), peer("192.0.2.7", PeerKind.EXTERNAL))
    tell(UNKNOWN, peer("web", PeerKind.GATEWAY))
    ids = [(edge["source"], edge["destination"]) for edge in mesh.graph()["edges"]]
    assert ids == [("unknown", "gateway:web"), ("unknown/unknown", "external:192.0.2.7")]


def test_an_open_connection_is_in_the_graph_before_it_ends(mesh: MeshView) -> None:
    tcp = mesh.hub.tcp(peer("productpage"), peer("mysql"))
    assert mesh.graph()["edges"] == []
    tcp.opened, tcp.sent, tcp.received = 2, 5000, 300
    (edge,) = mesh.graph(None)["edges"]
    assert (edge["protocol"], edge["requests"], edge["open"]) == ("tcp", 0, 2)
    assert (edge["bytes_sent"], edge["bytes_received"], edge["p50_ms"]) == (5000, 300, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("60s", 60), ("5m", 300), ("1h", 3600), ("60", 60), ("1.5s", 2), ("200ms", 1), ("all", None)],
)
def test_windows(text: str, seconds: int | None) -> None:
    assert graph_views.window_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "0s", "3601s", "61m", "2h", "-1s", "1d", "nan", "1e2s", "\u0665s", "60s ", "99999999999999s", "ALL"]
)
def test_windows_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="1s to 1h, or all"):
        graph_views.window_seconds(text)


def test_dotviz_quotes_what_it_is_given(mesh: MeshView, tell: Callable[..., None]) -> None:
    tell(peer('a"];evil[\n'), peer("reviews/v1"), 500)
    text = graph_views.dotviz(mesh.graph())
    assert '  "a\\"];evil[ /latest" -> "reviews/v1" [label="http 1, 1 failed"];' in text.splitlines()
