"""The Graph page: it shows what the API says, marks what fails, finds, hides, and is worked by keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import Demo

if TYPE_CHECKING:
    from playwright.sync_api import Page

FAULT = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: details}
spec:
  hosts: [details]
  http:
  - fault: {abort: {percentage: {value: 100}, httpStatus: 503}}
    route: [{destination: {host: details}}]
"""
DRAWN = """() => ({
  nodes: [...document.querySelectorAll('[data-node]')].map(e => [e.dataset.node, e.dataset.kind]),
  edges: [...document.querySelectorAll('[data-edge]')]
    .map(e => [e.dataset.source, e.dataset.destination, e.dataset.protocol]),
})"""
CARDS = """() => [...document.querySelectorAll('[data-node] .node-card')].map(card => {
  const { left, top, right, bottom } = card.getBoundingClientRect();
  return [left, top, right, bottom];
})"""
"""Asked for at once: between two questions the graph may be drawn anew, in another order."""
PAINTED = """() => {
  const { width, height } = document.querySelector('canvas.flow');
  const copy = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  copy.drawImage(document.querySelector('canvas.flow'), 0, 0);
  return copy.getImageData(0, 0, width, height).data.some(Boolean);
}"""
"""Of a copy: Chromium complains of a canvas that is read more than once."""


def said(demo: Demo) -> dict[str, list[list[str]]]:
    graph = demo.client.graph("60s")
    return {
        "nodes": sorted([node["id"], node["kind"]] for node in graph["nodes"]),
        "edges": sorted([edge["source"], edge["destination"], edge["protocol"]] for edge in graph["edges"]),
    }


def drawn(page: Page) -> dict[str, list[list[str]]]:
    return {name: sorted(found) for name, found in page.evaluate(DRAWN).items()}


def until(true: Callable[[], Any], seconds: float = 20.0) -> None:
    """The page follows the mesh once a second; nothing tells a test when it has."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def node(page: Page, name: str) -> Any:
    return page.locator(f"[data-node='{name}']")


@pytest.fixture
def graph(open_page: Callable[..., Page]) -> Page:
    """The page, once every call of Bookinfo is drawn."""
    page: Page = open_page("graph")
    until(lambda: len(page.evaluate(DRAWN)["edges"]) >= 7)
    return page


@pytest.fixture
def broken_details(demo: Demo) -> Iterator[None]:
    demo.client.change([("fault.yaml", FAULT)])
    yield
    demo.client.undo()


def test_nodes_and_edges_are_those_of_the_api(demo: Demo, graph: Page) -> None:
    until(lambda: drawn(graph) == said(demo))
    names = {name.partition("/")[0] for name, _ in drawn(graph)["nodes"]}
    assert names == {"unknown", "productpage", "details", "reviews", "ratings"}
    assert graph.locator("[data-box]").evaluate_all("all => all.map(e => e.dataset.box)") == ["reviews"]


def test_an_edge_opens_with_its_numbers_and_its_charts(demo: Demo, graph: Page) -> None:
    key = "productpage/latest details/latest http"
    graph.locator(f"[data-edge='{key}'] .edge-reach").dispatch_event("click")
    panel = graph.get_by_label("Details", exact=True)
    panel.get_by_role("heading", name="productpage → details").wait_for()
    shown = int(panel.locator("dt", has_text="Requests").locator("+ dd").inner_text())
    edges = {
        f"{one['source']} {one['destination']} {one['protocol']}": one for one in demo.client.graph("60s")["edges"]
    }
    assert shown == pytest.approx(edges[key]["requests"], rel=0.25, abs=20)
    assert panel.locator(".chart").count() == 3
    panel.locator(".chart-line").first.wait_for()
    requests = panel.get_by_role("link", name="Requests").get_attribute("href")
    assert requests == "#/requests?source=productpage&service=details"
    panel.get_by_role("link", name="details").click()
    graph.locator("[data-service='details']").first.wait_for()


def test_what_fails_is_marked(broken_details: None, graph: Page) -> None:
    graph.get_by_role("group", name="Window").get_by_role("button", name="10 s").click()
    edge = graph.locator("[data-edge^='productpage/latest details/']")
    until(lambda: "edge-bad" in (edge.first.get_attribute("class") or ""))
    graph.get_by_role("group", name="Edge labels").get_by_role("button", name="Errors").click()
    graph.locator(".edge-label.edge-bad").first.wait_for()
    graph.get_by_label("Find").fill("%error > 50")
    until(lambda: graph.locator(".edge.is-faded").count() >= 5)
    assert "is-faded" not in (edge.first.get_attribute("class") or "")


def test_find_dims_the_others_hide_takes_away_and_nonsense_is_answered(demo: Demo, graph: Page) -> None:
    find, hide = graph.get_by_label("Find"), graph.get_by_label("Hide")
    graph.keyboard.press("/")
    assert find.evaluate("box => box === document.activeElement")
    graph.keyboard.type("ratings")
    until(lambda: "is-faded" in (node(graph, "details/latest").get_attribute("class") or ""))
    assert "is-faded" not in (node(graph, "ratings/latest").get_attribute("class") or "")
    find.fill("")
    hide.fill("service = reviews or unknown")
    # Of details there may be two nodes: one for what reached none of its instances, a test ago.
    until(
        lambda: {name.partition("/")[0] for name, _ in drawn(graph)["nodes"]} == {"details", "productpage", "ratings"}
    )
    ends = {(source, destination.partition("/")[0]) for source, destination, _ in drawn(graph)["edges"]}
    assert ends == {("productpage/latest", "details")}
    hide.fill("rate > fast")
    graph.get_by_role("alert").get_by_text("rate wants a number").wait_for()
    until(lambda: drawn(graph) == said(demo))


def test_another_window_is_asked_of_the_mesh(graph: Page) -> None:
    with graph.expect_request(lambda asked: "/api/v1/events" in asked.url and "window=5m" in asked.url):
        graph.get_by_role("group", name="Window").get_by_role("button", name="5 min").click()
    node(graph, "productpage/latest").wait_for()
    assert "window=5m" in graph.url


def test_keys_lead_from_node_to_node_and_into_the_panel(graph: Page) -> None:
    focused = "() => document.activeElement.dataset.node"
    graph.keyboard.press("ArrowRight")
    first = graph.evaluate(focused)
    assert first
    graph.locator("[data-node='unknown']").focus()
    graph.keyboard.press("ArrowRight")
    assert graph.evaluate(focused) == "productpage/latest"
    graph.keyboard.press("Enter")
    graph.get_by_label("Details", exact=True).get_by_role("heading", name="productpage").wait_for()
    graph.keyboard.press("Escape")
    graph.get_by_label("Summary", exact=True).wait_for()
    before = graph.locator(".drawing > g").first.get_attribute("transform")
    graph.keyboard.press("+")
    until(lambda: graph.locator(".drawing > g").first.get_attribute("transform") != before)
    graph.keyboard.press("0")
    until(lambda: graph.locator(".drawing > g").first.get_attribute("transform") == before)


def test_traffic_moves_except_for_who_wants_no_motion(graph: Page, open_page: Callable[..., Page]) -> None:
    until(lambda: graph.evaluate(PAINTED))
    still = open_page("graph", reduced_motion="reduce")
    until(lambda: len(still.evaluate(DRAWN)["edges"]) >= 7)
    for _ in range(3):
        still.evaluate("() => new Promise(requestAnimationFrame)")
    assert not still.evaluate(PAINTED)


def test_nodes_stand_apart(graph: Page) -> None:
    until(lambda: (cards := graph.evaluate(CARDS)) and not overlapping(cards))


def overlapping(cards: list[list[float]]) -> list[tuple[list[float], list[float]]]:
    """Pairs of left, top, right, bottom that share some of the page."""
    return [
        (one, other)
        for one, other in combinations(cards, 2)
        if one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
    ]
