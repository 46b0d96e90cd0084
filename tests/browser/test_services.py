"""The Services page: the table and one service, against the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from .conftest import Demo

if TYPE_CHECKING:
    from playwright.sync_api import Page

SPLIT = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route:
    - {destination: {host: reviews, subset: v1}, weight: 80}
    - {destination: {host: reviews, subset: v2}, weight: 20}
"""
NAMES = "rows => rows.map(row => row.dataset.service)"


@pytest.fixture
def table(open_page: Callable[..., Page]) -> Page:
    page: Page = open_page("services")
    page.locator("tr[data-service]").first.wait_for()
    return page


@pytest.fixture
def split(demo: Demo) -> Iterator[None]:
    assert demo.client.change([("split.yaml", SPLIT)])["accepted"]
    yield
    demo.client.undo()


def names(page: Page) -> list[str]:
    found: list[str] = page.locator("tr[data-service]").evaluate_all(NAMES)
    return found


def test_the_table_has_the_services_of_the_api(demo: Demo, table: Page) -> None:
    services = demo.client.status()["services"]
    assert names(table) == [service["name"] for service in services]
    reviews = table.locator("tr[data-service='reviews']")
    assert [chip.inner_text() for chip in reviews.locator(".chip").all()] == ["v1", "v2", "v3"]
    assert reviews.locator(".instances span").inner_text() == "3"


def test_it_is_sorted_by_what_is_pressed_and_filtered_by_what_is_typed(table: Page) -> None:
    table.get_by_role("button", name="Service", exact=True).click()
    table.locator("th[aria-sort='descending']").wait_for()
    assert names(table) == sorted(names(table), reverse=True)
    table.get_by_role("button", name="Instances").click()
    table.locator("th[aria-sort='ascending']", has_text="Instances").wait_for()
    assert names(table)[-1] == "reviews"
    table.get_by_label("Filter").fill("v3")
    assert names(table) == ["reviews"]
    table.get_by_label("Filter").fill("nobody")
    table.get_by_text("No service fits “nobody”.").wait_for()


def test_keys_open_a_service_and_lead_back(table: Page) -> None:
    table.keyboard.press("ArrowDown")
    table.keyboard.press("ArrowDown")
    assert table.evaluate("document.activeElement.textContent.trim()") == "productpage"
    table.keyboard.press("Enter")
    table.get_by_role("heading", name="productpage", exact=True).wait_for()
    table.keyboard.press("Escape")
    table.locator("tr[data-service]").first.wait_for()


def test_one_service_is_shown_with_instances_routes_split_and_neighbours(
    demo: Demo, split: None, open_page: Callable[..., Page]
) -> None:
    page = open_page("services", "reviews")
    page.get_by_role("heading", name="reviews", exact=True).wait_for()
    service = next(one for one in demo.client.status()["services"] if one["name"] == "reviews")
    instances = page.locator("tr[data-instance]")
    assert instances.evaluate_all("rows => rows.map(row => row.dataset.instance)") == [
        one["name"] for one in service["workloads"]
    ]
    for row, one in zip(instances.all(), service["workloads"], strict=True):
        assert one["address"] in row.inner_text()
        assert "yes" in row.inner_text()
    routes = page.get_by_label("Routes")
    routes.get_by_text("VirtualService reviews (split.yaml:").wait_for()
    assert [arm.inner_text() for arm in routes.locator(".arms b").all()] == ["80%", "20%"]
    assert routes.locator(".documents a").count() == 2
    callers = page.get_by_label("Callers")
    callers.get_by_role("link", name="productpage").first.wait_for()
    assert page.get_by_label("Calls", exact=True).get_by_role("link", name="ratings").count() >= 1
    page.locator(".traffic .chart-line").first.wait_for()
    assert page.locator("tr[data-version]").count() == 3


def test_a_service_that_is_not_there_is_said_to_be_so(open_page: Callable[..., Page]) -> None:
    page = open_page("services", "nobody")
    page.get_by_role("heading", name="No service named nobody runs").wait_for()
    page.get_by_role("link", name="All services").click()
    page.locator("tr[data-service]").first.wait_for()
