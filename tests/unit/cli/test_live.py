"""The views as people see them: rendered to text, at the widths that terminals have."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console, RenderableType

from composemesh.cli.live import graph_view, live_view, status_view
from composemesh.cli.pieces import count, duration, milliseconds, percent, rate
from unit.cli.shapes import BOOKINFO, GRAPH, service, status, workload


def rendered(view: RenderableType, width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(view)
    return out.getvalue()


def rows(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.mark.parametrize("width", [80, 160])
def test_the_live_view_fits_and_loses_nothing(width: int) -> None:
    text = rendered(live_view(BOOKINFO, GRAPH), width)
    assert max(map(len, text.splitlines())) <= width
    shown = rows(text)
    assert shown[0] == "bookinfo serving · http://127.0.0.1:15000 · capture netns · mTLS off"
    assert "productpage v1 1 12.3 100% 8.2 ms 31 ms" in shown
    wrapped = ("reviews v1 v2 v3 3, 1 not captured, 1 12.3 99.8% 4.0 ms 1.2 s", "unhealthy")
    whole = ("reviews v1 v2 v3 3, 1 not captured, 1 unhealthy 12.3 99.8% 4.0 ms 1.2 s",)
    assert set(wrapped if width == 80 else whole) <= set(shown)
    assert "ratings v1 1 0 - - -" in shown
    assert "unknown productpage v1 http 200 0 8.2 ms 31 ms" in shown
    assert "productpage v1 reviews v2 http 12.3k 3 0.4 ms -" in shown
    assert "compose.yaml:12" in text
    assert "Did you mean `version`?" in " ".join(shown)


def test_status_has_a_line_for_each_instance() -> None:
    shown = rows(rendered(status_view(BOOKINFO), 160))
    assert "bookinfo-reviews-v2-1 reviews v2 172.18.0.2 healthy yes" in shown
    assert "bookinfo-reviews-v3-1 reviews v3 172.18.0.2 unhealthy It has no network." in shown
    assert "bookinfo-ratings-v1-1 ratings v1 172.18.0.2 - yes" in shown


def test_clients_of_xds_are_listed_with_what_they_refuse() -> None:
    clients = [
        {
            "node": "e1",
            "address": "127.0.0.1:1",
            "type": "cluster",
            "version": "7",
            "state": "refused",
            "refused": ["c"],
        },
        {"node": "", "address": "127.0.0.1:2", "type": "route", "version": "", "state": "waiting", "refused": []},
    ]
    shown = rows(rendered(status_view(status(xds=clients, xds_url="http://127.0.0.1:15010")), 160))
    assert "xDS http://127.0.0.1:15010" in shown[0]
    assert "e1 127.0.0.1:1 cluster 7 refused c" in shown
    assert "- 127.0.0.1:2 route - waiting" in shown


def test_many_problems_leave_room_for_the_services() -> None:
    problem = BOOKINFO["problems"][0]
    crowded = status(problems=[problem | {"line": line} for line in range(1, 9)])
    shown = rendered(live_view(crowded, GRAPH), 160)
    assert shown.count("versoin") == 5
    assert "… and 3 more: composemesh status" in shown
    assert rendered(status_view(crowded), 160).count("versoin") == 8


def test_an_empty_mesh_says_so() -> None:
    text = rendered(live_view(status(state="starting"), {"nodes": [], "edges": []}), 80)
    assert "No service runs yet." in text
    assert "No traffic yet." in text
    assert "none" in rendered(status_view(status(service("web"))), 80)


def test_a_shape_with_less_in_it_is_still_shown() -> None:
    assert rendered(live_view({}, {}), 80)
    assert rendered(status_view({"services": [{"name": "web", "workloads": [{}]}], "problems": [{}]}), 80)
    assert "a/v1" in rendered(graph_view({"edges": [{"source": "a/v1", "destination": "b/v1"}]}), 80)


def test_a_service_that_was_not_reached_has_a_row_of_its_own() -> None:
    peers = [("client", "latest"), ("web", "latest"), ("web", "unknown"), ("other", "unknown")]
    nodes = [
        {"id": f"{name}/{version}", "service": name, "version": version, "kind": "service"} for name, version in peers
    ]
    edges = [
        {"source": "client/latest", "destination": node["id"], "protocol": "http", "requests": 7, "errors": 0}
        for node in nodes[1:]
    ]
    for view in (graph_view, lambda graph: live_view(status(), graph)):
        shown = rows(rendered(view({"nodes": nodes, "edges": edges}), 80))
        assert "client web http 7 0 - -" in shown
        assert "client web (not reached) http 7 0 - -" in shown
        assert "client other http 7 0 - -" in shown


HOSTILE = "x\x1b[2J\x07[red]y\n\u202e"


@pytest.mark.parametrize("place", ["project", "service", "version", "workload", "reason", "message", "node"])
def test_names_cannot_paint_the_terminal(place: str) -> None:
    def name(here: str) -> Any:
        return HOSTILE if here == place else here

    said = status(
        service(name("service"), workload(name("workload"), name("version"), captured=False, reason=name("reason"))),
        project=name("project"),
        problems=[{"severity": "error", "message": name("message")}],
    )
    graph = {
        "nodes": [{"id": "a", "service": name("node"), "version": "", "kind": "service"}],
        "edges": [{"source": "a", "destination": "a", "protocol": "http"}],
    }
    text = rendered(live_view(said, graph), 160) + rendered(status_view(said), 160)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    assert "[red]y" in text


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "-"), (0.04, "0.0 ms"), (9.96, "10.0 ms"), (12.4, "12 ms"), (3400, "3.4 s")]
)
def test_milliseconds(value: float | None, shown: str) -> None:
    assert milliseconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (1, "100%"), (0.99999, "99.9%"), (0.5, "50.0%"), (0.0001, "0.1%"), (0, "0%")],
)
def test_success_is_whole_only_when_nothing_failed(value: float | None, shown: str) -> None:
    assert percent(value).plain == shown


def test_other_numbers() -> None:
    assert [rate(value) for value in (None, 0, 0.25, 99.94, 1234.5)] == ["-", "0", "0.2", "99.9", "1234"]
    assert [count(value) for value in (None, 0, 9999, 12345, 4_500_000)] == ["-", "0", "9999", "12.3k", "4.5M"]
    assert [duration(value) for value in (0.4, 59, 60, 7200, 200_000)] == ["0s", "59s", "1m", "2h", "2d"]
