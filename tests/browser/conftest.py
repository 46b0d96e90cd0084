"""The dashboard in a real browser: Debian's Chromium, without a window, on Bookinfo as `composemesh demo` runs it.

Whatever the browser complains of fails the test that opened the page: errors, warnings of the console, and what the
page's Content-Security-Policy had to stop.
"""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import composemesh
from composemesh import ui
from composemesh.capture.loopback import unsupported
from composemesh.stack.client import MeshClient
from environment import requirements
from environment.tools import find

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

REPOSITORY = Path(composemesh.__file__).parents[1]
STARTS_WITHIN = 60.0
"""Seconds for the demo: a busy machine takes its time."""
NOT_OURS = ("ERR_NETWORK_CHANGED",)
"""What Chromium says when somebody makes a Docker network on the machine; it aborts what is under way then."""
VIOLATIONS = """addEventListener("securitypolicyviolation",
  (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`))"""


@dataclass(frozen=True, slots=True)
class Demo:
    """Bookinfo in a mesh, with a reader who asks ten times a second."""

    url: str
    """Of the dashboard."""
    token: str
    site: str
    """`HOST:PORT` of the bookstore's page."""
    client: MeshClient

    def visit(self, path: str = "/productpage", **headers: str) -> int:
        """One request from outside; its status."""
        connection = http.client.HTTPConnection(self.site, timeout=30)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def shares(self, visits: int = 150) -> dict[str, float]:
        """Which part of the requests for reviews each version answers, over so many visits and the reader's own."""
        before = self._reviews()
        for _ in range(visits):
            assert self.visit() == 200
        counts = {version: count - before.get(version, 0) for version, count in self._reviews().items()}
        return {version: count / sum(counts.values()) for version, count in counts.items() if count}

    def _reviews(self) -> dict[str, int]:
        edges = self.client.graph("all")["edges"]
        found: dict[str, int] = {}
        for edge in edges:
            service, _, version = edge["destination"].partition("/")
            if service == "reviews":
                found[version] = found.get(version, 0) + edge["requests"]
        return found


@pytest.fixture(scope="module")
def chromium(programs: Callable[..., None]) -> Iterator[Browser]:
    """For one file: while it runs, Playwright has an event loop in this thread, which later tests must not find.

    Skips where there is no browser or no page; in CI that is a failure.
    """
    programs("chromium")
    if ui.read("index.html") is None:
        reason = "the dashboard is not built: `make setup` builds it where there is npm"
        pytest.fail(reason, pytrace=False) if requirements.REQUIRED else pytest.skip(reason)
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `make setup`")
    path = find("chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=str(path), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    if reason := unsupported():
        pytest.skip(reason)
    state = tmp_path_factory.mktemp("state")
    log = state / "demo.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "composemesh", "demo"],
            env={"PATH": os.defpath, "PYTHONPATH": str(REPOSITORY), "COMPOSEMESH_STATE_DIR": str(state)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield _started(process, state / "demo", log)
    finally:
        process.terminate()
        process.wait(30)


def _started(process: subprocess.Popen[bytes], folder: Path, log: Path) -> Demo:
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        said = log.read_text(errors="replace")
        site, admin = re.search(r"Open http://(\S+)/productpage", said), re.search(r"The mesh serves: (\S+)", said)
        if site and admin and "serving: 4 services" in said:
            token = (folder / "token").read_text().strip()
            return Demo(f"{admin[1]}/", token, site[1], MeshClient(folder / "admin.sock"))
        time.sleep(0.1)
    raise AssertionError(f"the demo did not start: {log.read_text(errors='replace')}")


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What the browser has complained of so far; none may be left at the end."""
    said: list[str] = []
    yield said
    assert said == []


@pytest.fixture
def open_page(chromium: Browser, demo: Demo, complaints: list[str]) -> Iterator[Callable[..., Page]]:
    """`open_page("config", "new", "split")`: a page of its own, with the token unless `token=False`."""
    contexts: list[Any] = []

    def note(text: str) -> None:
        if not any(known in text for known in NOT_OURS):
            complaints.append(text)

    def open_page(*parts: str, token: bool = True, **options: Any) -> Page:
        context = chromium.new_context(viewport={"width": 1440, "height": 900}, **options)
        contexts.append(context)
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.add_init_script(VIOLATIONS)
        page.on("console", lambda said: note(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: note(str(error)))
        page.goto(f"{demo.url}#token={demo.token}" if token else demo.url)
        page.locator("nav a").first.wait_for()
        page.evaluate("address => { location.hash = address }", f"#/{'/'.join(parts)}")
        return page

    yield open_page
    for context in contexts:
        context.close()
