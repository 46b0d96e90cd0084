"""The Config page: edited, refused, applied to traffic, undone, and left alone without the token."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from .conftest import Demo

if TYPE_CHECKING:
    from playwright.sync_api import Dialog, Page

SPLIT = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route:
    - {destination: {host: reviews, subset: v1}, weight: %d}
    - {destination: {host: reviews, subset: v2}, weight: %d}
"""


@pytest.fixture(autouse=True)
def as_before(demo: Demo) -> Iterator[None]:
    """Whatever a test has applied, the next one finds none of it."""
    yield
    found = [(one["kind"], one["name"]) for one in demo.client.resources()]
    if found:
        demo.client.change(delete=found)


@pytest.fixture
def split(demo: Demo) -> None:
    subsets = "".join(f"{{name: {version}, labels: {{version: {version}}}}}, " for version in ("v1", "v2", "v3"))
    rule = (
        "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: reviews}, "
        f"spec: {{host: reviews, subsets: [{subsets}]}}}}"
    )
    assert demo.client.change([("rule.yaml", rule), ("split.yaml", SPLIT % (90, 10))])["accepted"]


PASTE = """(element, text) => {
  const data = new DataTransfer();
  data.setData("text/plain", text);
  element.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
}"""


def write(page: Page, text: str) -> None:
    """Paste a text in the place of the editor's."""
    editor = page.get_by_label("YAML")
    editor.click()
    page.keyboard.press("Control+a")
    editor.evaluate(PASTE, text)


def apply(page: Page) -> None:
    page.get_by_role("button", name="Review and apply").click()
    page.get_by_role("button", name="Apply", exact=True).click()
    page.get_by_text("In force:").wait_for()


def edited(page: Page) -> str:
    return "\n".join(line.inner_text().rstrip("\n") for line in page.locator(".cm-line").all())


def test_what_is_wrong_is_marked_at_its_line_and_cannot_be_applied(
    demo: Demo, split: None, open_page: Callable[..., Page]
) -> None:
    page = open_page("config", "VirtualService", "reviews")
    write(page, (SPLIT % (50, 50)).replace("hosts:", "hostz:"))
    message = page.locator(".cm-line", has_text="hostz").locator(".cm-message")
    message.wait_for()
    assert "Did you mean" in message.inner_text()
    findings = page.get_by_label("Problems of this text")
    assert findings.get_by_text("5:3", exact=True).is_visible()
    button = page.get_by_role("button", name="Review and apply")
    assert button.is_disabled()
    page.keyboard.press("Control+s")
    assert page.get_by_role("button", name="Apply", exact=True).count() == 0
    # No YAML at all.
    write(page, "a: [")
    page.get_by_text("This is not YAML").first.wait_for()
    assert button.is_disabled()
    assert demo.client.resources("VirtualService")[0]["document"]["spec"]["hosts"] == ["reviews"]


def test_a_split_applied_in_the_editor_changes_traffic_and_undo_brings_the_old_one_back(
    demo: Demo, split: None, open_page: Callable[..., Page]
) -> None:
    before = demo.shares()
    assert before["v1"] > 0.75
    page = open_page("config", "VirtualService", "reviews")
    page.locator(".cm-line", has_text="weight: 90").wait_for()
    write(page, SPLIT % (50, 50))
    page.get_by_role("button", name="Review and apply").click()
    review = page.get_by_label("What would change")
    assert "routes of reviews" in review.inner_text()
    assert [line.inner_text().split("weight:")[1] for line in review.locator(".is-added").all()] == [" 50}", " 50}"]
    assert review.locator(".is-removed").count() == 2
    page.get_by_role("button", name="Back to the text").click()
    page.locator(".cm-line", has_text="subset: v1}, weight: 50").wait_for()
    page.keyboard.press("Control+s")
    page.get_by_role("button", name="Apply", exact=True).click()
    page.get_by_text("In force: VirtualService reviews configured.").wait_for()
    (applied,) = demo.client.resources("VirtualService")
    assert applied["file"] == "dashboard/VirtualService/reviews", "what `status` and the log name its lines by"
    halves = demo.shares()
    assert halves.keys() == {"v1", "v2"}
    assert 0.35 < halves["v1"] < 0.65

    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Taken back: VirtualService reviews configured.").wait_for()
    page.locator(".cm-line", has_text="weight: 90").wait_for()
    assert demo.shares()["v1"] > 0.75


SLOW_VERDICT = """() => {
  const ask = window.fetch;
  window.fetch = (path, options) => {
    if (path !== "/api/v1/validate") return ask(path, options);
    window.fetch = ask;
    window.asked = true;
    const never = new ReadableStream({
      start: (answer) => options.signal.addEventListener("abort", () => answer.error(options.signal.reason)),
    });
    return Promise.resolve(new Response(never, { status: 200 }));
  };
}"""
"""The first verdict begins to arrive, and never does: it is given up when the text has changed."""


def test_who_types_on_while_the_verdict_arrives_gets_the_next_one(
    split: None, open_page: Callable[..., Page]
) -> None:
    page = open_page("config", "VirtualService", "reviews")
    page.locator(".cm-line", has_text="weight: 90").wait_for()
    page.evaluate(SLOW_VERDICT)
    write(page, SPLIT % (70, 30))
    page.wait_for_function("() => window.asked")
    write(page, SPLIT % (60, 40))
    page.get_by_role("button", name="Review and apply").click()
    page.get_by_label("What would change").wait_for()


def test_a_new_resource_begins_with_a_template_and_is_deleted_after_a_question(
    demo: Demo, open_page: Callable[..., Page]
) -> None:
    page = open_page("config")
    page.get_by_role("link", name="Split traffic").click()
    page.locator(".cm-line", has_text="hosts: [reviews]").wait_for()
    apply(page)
    page.get_by_role("heading", name="VirtualService reviews").wait_for()
    assert {one["kind"] for one in demo.client.resources()} == {"VirtualService", "DestinationRule"}
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Cancel").click()
    assert len(demo.client.resources()) == 2
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_text("In force: VirtualService reviews deleted.").wait_for()
    assert [one["kind"] for one in demo.client.resources()] == ["DestinationRule"]


def test_an_edit_survives_a_change_of_page_and_leaving_asks(split: None, open_page: Callable[..., Page]) -> None:
    page = open_page("config", "VirtualService", "reviews")
    page.locator(".cm-line", has_text="weight: 90").wait_for()
    write(page, SPLIT % (70, 30))
    page.get_by_text("valid", exact=True).wait_for()
    page.evaluate("location.hash = '#/requests'")
    page.get_by_role("button", name="Pause").wait_for()
    page.evaluate("location.hash = '#/config/VirtualService/reviews'")
    page.locator(".cm-line", has_text="weight: 70").wait_for()
    asked: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", dismiss)
    page.close(run_before_unload=True)
    page.wait_for_timeout(500)  # nothing says that a tab was not closed
    assert asked == ["beforeunload"]
    page.get_by_role("button", name="Discard…").click()
    page.get_by_role("dialog").get_by_role("button", name="Discard").click()
    page.locator(".cm-line", has_text="weight: 90").wait_for()


def test_of_two_pages_the_second_is_told(
    demo: Demo, split: None, open_page: Callable[..., Page], complaints: list[str]
) -> None:
    page = open_page("config", "VirtualService", "reviews")
    page.locator(".cm-line", has_text="weight: 90").wait_for()
    write(page, SPLIT % (60, 40))
    page.get_by_role("button", name="Review and apply").click()
    page.get_by_role("button", name="Apply", exact=True).wait_for()
    demo.client.change([("other.yaml", SPLIT % (80, 20))])
    page.get_by_role("button", name="Apply", exact=True).click()
    page.get_by_text("Somebody else was faster").wait_for()
    (refused,) = complaints  # Chromium notes every answer that is an error
    assert "412" in refused
    complaints.clear()
    assert "weight: 80" in str(demo.client.resources("VirtualService")[0]["document"]).replace("'", "")
    page.locator(".cm-line", has_text="weight: 60").wait_for()
    page.get_by_role("button", name="Keep mine").click()
    page.get_by_role("button", name="Review and apply").click()
    page.locator(".is-removed", has_text="weight: 80").wait_for()
    page.get_by_role("button", name="Apply", exact=True).click()
    page.get_by_text("In force:").wait_for()


def test_without_the_token_it_only_shows(demo: Demo, split: None, open_page: Callable[..., Page]) -> None:
    page = open_page("config", "VirtualService", "reviews", token=False)
    page.get_by_text("Reading only.").wait_for()
    page.locator(".cm-line", has_text="weight: 90").wait_for()
    assert page.locator(".cm-content").get_attribute("contenteditable") == "false"
    for name in ("Review and apply", "Delete…", "Undo"):
        assert page.get_by_role("button", name=name).count() == 0
    page.evaluate("location.hash = '#/config/history'")
    page.get_by_text("created").first.wait_for()
    assert page.get_by_role("button", name="Undo…").count() == 0


def test_problems_lead_to_their_lines(demo: Demo, open_page: Callable[..., Page]) -> None:
    demo.client.change([("split.yaml", f"# two lines\n# more\n---\n{SPLIT % (90, 10)}")])
    page = open_page("config", "problems")
    card = page.locator("article.problem", has_text="reviews").first
    card.wait_for()
    assert "split.yaml:" in card.inner_text()
    card.locator("a").click()
    page.locator(".cm-activeLine", has_text="subset").wait_for()


def test_words_are_completed_by_the_schema(split: None, open_page: Callable[..., Page]) -> None:
    page = open_page("config", "VirtualService", "reviews")
    page.locator(".cm-line", has_text="weight: 90").wait_for()
    page.get_by_label("YAML").click()
    page.keyboard.press("Control+End")
    page.keyboard.type("    tim")
    page.locator(".cm-tooltip-autocomplete li", has_text="timeout").click()
    page.keyboard.type("2s")
    page.get_by_text("valid", exact=True).wait_for()
    assert "    timeout: 2s" in edited(page)


FORGED = """async ([url, path, body]) => {
  const answers = [];
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/json"]) {
    for (const mode of ["no-cors", "cors"]) {
      const headers = {"content-type": type};
      const asked = fetch(url + path, {method: "POST", mode, headers, body, credentials: "include"});
      answers.push(await asked.then((answer) => answer.type === "opaque" ? "opaque" : answer.status, () => "failed"));
    }
  }
  return answers;
}"""


def test_a_page_of_another_origin_changes_nothing_and_reads_nothing(
    demo: Demo, split: None, open_page: Callable[..., Page], complaints: list[str]
) -> None:
    page = open_page("config")
    page.goto(f"http://{demo.site}/productpage")
    body = json.dumps({"files": [{"name": "x", "text": SPLIT % (1, 99)}], "delete": []})
    for path in ("api/v1/resources", "api/v1/undo", "api/v1/validate"):
        answers = page.evaluate(FORGED, [demo.url, path, body])
        assert set(answers) <= {"opaque", "failed"}
    steps = demo.client.history()["steps"]
    assert len(steps[0]["created"]) == 2  # the fixture's own change is still the last one
    assert "90" in str(demo.client.resources("VirtualService")[0]["document"])
    assert complaints  # the browser has its own word on that
    complaints.clear()
