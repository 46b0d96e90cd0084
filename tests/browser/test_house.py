"""What holds on every page: the token, other people's pages, markup, colours, keys, widths, a mesh that is away."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from .conftest import REPOSITORY, Demo

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

MARKUP = "<img src=x onerror=document.title='caught'><script>document.title='caught'</script>"
HARMLESS = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "mine"},
    "spec": {"hosts": ["ratings"], "http": [{"route": [{"destination": {"host": "ratings"}}]}]},
}
ATTEMPTS = """async ([url, body, token]) => {
  const said = {};
  const attempt = async (name, path, options) => {
    try {
      const answer = await fetch(url + path, options);
      said[name] = answer.type === 'opaque' ? 'unread' : `read ${answer.status}`;
    } catch { said[name] = 'failed'; }
  };
  const json = {'content-type': 'application/json'};
  await attempt('json', 'api/v1/resources', {method: 'POST', headers: json, body});
  const shown = {...json, authorization: `Bearer ${token}`};
  await attempt('token', 'api/v1/resources', {method: 'POST', headers: shown, body});
  await attempt('plain', 'api/v1/resources', {method: 'POST', mode: 'no-cors', body});
  await attempt('trial', 'api/v1/validate', {method: 'POST', mode: 'no-cors', body});
  await attempt('status', 'api/v1/status', {});
  await attempt('asset', '', {headers: {accept: 'text/html'}});
  const made = (tag, more) => Object.assign(document.createElement(tag), more);
  const action = url + 'api/v1/resources';
  const form = made('form', {method: 'post', action, enctype: 'text/plain', target: 'inner'});
  form.append(made('input', {name: body, value: ''}));
  const inner = made('iframe', {name: 'inner'});
  document.body.append(inner, form);
  await new Promise(done => { inner.onload = done; form.submit(); setTimeout(done, 3000); });
  return said;
}"""
OVERFLOW = """() => {
  const out = [...document.querySelectorAll('.top *, main *')].filter(element => {
    const box = element.getBoundingClientRect();
    return box.width && box.right > innerWidth + 1 && !element.closest('svg, .cm-editor, [class*=frame]');
  });
  return [document.documentElement.scrollWidth - innerWidth, ...out.map(element => element.className).slice(0, 5)];
}"""


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """Somebody else's site, on another port of this host."""

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>elsewhere</title><body>")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def stranger(chromium: Browser) -> Iterator[Page]:
    """A page whose complaints are wanted: what it tries is refused."""
    context = chromium.new_context()
    yield context.new_page()
    context.close()


def test_a_page_of_another_origin_changes_and_reads_nothing(demo: Demo, elsewhere: str, stranger: Page) -> None:
    stranger.goto(elsewhere)
    body = json.dumps({"files": [{"name": "mine.yaml", "text": json.dumps(HARMLESS)}]})
    said = stranger.evaluate(ATTEMPTS, [demo.url, body, demo.token])
    assert {name: answer for name, answer in said.items() if answer.startswith("read")} == {}
    assert said["json"] == said["token"] == said["status"] == "failed"
    assert [one["name"] for one in demo.client.resources() if one["name"] == "mine"] == []
    # The same change is a good one, made by who may.
    assert demo.client.change([("mine.yaml", json.dumps(HARMLESS))], dry_run=True)["accepted"]


def test_a_name_that_was_bound_to_loopback_is_refused(demo: Demo, stranger: Page) -> None:
    port = demo.url.rstrip("/").rpartition(":")[2]
    answer = stranger.goto(
        f"http://evil.localhost:{port}/"
    )  # browsers resolve every name below localhost to loopback
    assert answer is not None
    assert answer.status == 421


def test_the_command_prints_an_address_that_may_change_things(demo: Demo, stranger: Page) -> None:
    state = demo.client.path.parents[1]
    answer = subprocess.run(
        [sys.executable, "-m", "composemesh", "-p", "demo", "dashboard", "--print"],
        env={"PATH": os.defpath, "PYTHONPATH": str(REPOSITORY), "COMPOSEMESH_STATE_DIR": str(state)},
        capture_output=True,
        text=True,
    )
    assert (answer.returncode, answer.stderr) == (0, "")
    stranger.goto(answer.stdout.strip())
    stranger.locator("[data-node]").first.wait_for()
    assert stranger.get_by_text("Read-only").count() == 0
    assert demo.token not in stranger.url


def test_the_token_leaves_the_address_and_stays_in_the_tab(demo: Demo, open_page: Callable[..., Page]) -> None:
    page = open_page("graph")
    assert demo.token not in page.url
    assert page.get_by_text("Read-only").count() == 0
    page.reload()
    page.locator("[data-node]").first.wait_for()
    assert page.get_by_text("Read-only").count() == 0
    assert demo.token not in page.content()
    other = open_page("graph", token=False)
    other.get_by_text("Read-only").wait_for()


def test_markup_in_names_is_text(demo: Demo, open_page: Callable[..., Page]) -> None:
    status, graph = demo.client.status(), demo.client.graph("60s")
    status["project"] = MARKUP
    for service in status["services"][:1]:
        service["name"] = MARKUP
        service["versions"] = [MARKUP]
        for workload in service["workloads"]:
            workload.update(name=MARKUP, version=MARKUP, reason=MARKUP, captured=False)
    status["problems"] = [
        {
            "severity": "error",
            "code": "x",
            "message": MARKUP,
            "hint": MARKUP,
            "file": MARKUP,
            "line": 1,
            "column": 1,
            "resource": MARKUP,
        }
    ]
    graph["nodes"] += [{"id": f"{MARKUP}/{MARKUP}", "service": MARKUP, "version": MARKUP, "kind": "service"}]
    graph["nodes"] += [{"id": f"external:{MARKUP}", "service": MARKUP, "version": "", "kind": "external"}]
    graph["edges"] += [{**graph["edges"][0], "source": f"{MARKUP}/{MARKUP}", "destination": f"external:{MARKUP}"}]

    def hostile(route: Route) -> None:
        text = f"event: status\ndata: {json.dumps(status)}\n\nevent: graph\ndata: {json.dumps(graph)}\n\n"
        route.fulfill(status=200, content_type="text/event-stream", body=text)

    page = open_page("nowhere")
    page.route("**/api/v1/events*", hostile)
    page.evaluate("location.hash = '#/graph'")
    page.reload()
    shown = page.locator("[data-kind='external'] .node-text b")
    shown.wait_for()
    assert shown.inner_text() == MARKUP
    shown.dispatch_event("click")
    page.get_by_label("Details", exact=True).get_by_role("heading", name=MARKUP).wait_for()
    page.evaluate("location.hash = '#/services'")
    page.get_by_role("link", name=MARKUP).click()
    page.get_by_role("heading", name=MARKUP).first.wait_for()
    assert page.locator("main img, header img, main script").count() == 0
    assert page.title() != "caught"


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1024, 700)])
def test_nothing_is_wider_than_the_window(width: int, height: int, open_page: Callable[..., Page]) -> None:
    page = open_page("graph")
    page.set_viewport_size({"width": width, "height": height})
    pages = page.locator("nav a").evaluate_all("links => links.map(link => link.hash)")
    for address in [*pages, "#/services/reviews", "#/graph?node=reviews&label=latency"]:
        page.evaluate("address => { location.hash = address }", address)
        page.locator("main h1, main [data-node], main input, main button").first.wait_for()
        page.evaluate("() => new Promise(requestAnimationFrame)")
        assert page.evaluate(OVERFLOW) == [0], address


def test_keys_lead_through_the_house(open_page: Callable[..., Page]) -> None:
    page = open_page("graph")
    page.locator("[data-node]").first.wait_for()
    page.keyboard.press("2")
    page.locator("tr[data-service]").first.wait_for()
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_text("filter the table").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    page.keyboard.press("1")
    page.locator("[data-node]").first.wait_for()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the page"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_colours_follow_the_system_until_somebody_says_otherwise(open_page: Callable[..., Page]) -> None:
    ground = "() => getComputedStyle(document.body).backgroundColor"
    dark, light = open_page("graph", color_scheme="dark"), open_page("graph", color_scheme="light")
    assert dark.evaluate(ground) != light.evaluate(ground)
    light.keyboard.press("t")
    light.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")
    assert light.evaluate(ground) == dark.evaluate(ground)
    light.reload()
    light.locator("nav a").first.wait_for()
    assert light.evaluate(ground) == dark.evaluate(ground)


def test_a_mesh_that_goes_away_is_missed_and_found_again(demo: Demo, stranger: Page) -> None:
    stranger.route("**/api/v1/events*", lambda route: route.abort())
    stranger.goto(f"{demo.url}#/graph")
    stranger.get_by_role("alert").get_by_text("The mesh does not answer.").wait_for()
    stranger.unroute("**/api/v1/events*")
    stranger.locator("[data-node]").first.wait_for()
    assert stranger.get_by_role("alert").count() == 0
