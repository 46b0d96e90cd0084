"""The view for logs: one line for each thing that changed."""

from __future__ import annotations

from composemesh.cli.plain import events, summary
from unit.cli.shapes import BOOKINFO, GRAPH, service, status, workload


def test_one_line_says_how_much_goes_on() -> None:
    assert summary(BOOKINFO, GRAPH) == (
        "serving: 3 services, 4 of 5 instances captured, 12545 calls, 3 errors; "
        "productpage 12.3/s 100% p99 31 ms; reviews 12.3/s 99.8% p99 1.2 s"
    )


def test_nothing_new_is_no_line() -> None:
    assert list(events(BOOKINFO, BOOKINFO)) == []
    assert summary(BOOKINFO, GRAPH) == summary(BOOKINFO, GRAPH)


def test_what_happens_to_instances() -> None:
    before = status(service("web", workload("web-1"), workload("web-2"), workload("web-3", captured=False)))
    now = status(
        service(
            "web",
            workload("web-1", health="unhealthy"),
            workload("web-3"),
            workload("web-4", captured=False, reason="network_mode: host has no namespace of its own."),
        )
    )
    assert list(events(before, now)) == [
        "web-2 has gone",
        "web-1 is now unhealthy, captured",
        "web-3 is now captured",
        "web-4 is there: network_mode: host has no namespace of its own.",
    ]


def test_problems_come_and_go() -> None:
    quiet = status(state="degraded")
    assert list(events(quiet, BOOKINFO | {"services": []})) == [
        "mesh serving",
        "warning: compose.yaml:12: `versoin` is no key of x-mesh.",
    ]
    assert list(events(BOOKINFO | {"services": []}, status())) == [
        "solved: warning: compose.yaml:12: `versoin` is no key of x-mesh."
    ]


def test_the_first_look_is_all_news() -> None:
    assert list(events({}, status(service("web", workload("web-1"))))) == ["mesh serving", "web-1 is there: captured"]


def test_a_line_stays_a_line() -> None:
    hostile = status(
        service("a\x1b[2J", workload("b\nmesh gone", captured=False, reason="\r\x9b"), requests_per_second=1)
    )
    for line in (*events({}, hostile), summary(hostile, {"edges": []})):
        assert line.isprintable()
