"""The sink in a running mesh: what the caller does arrives at a StatsD server; what is configured wrong is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from composemesh.app import Rejected
from composemesh.testing import running_mesh
from plugins.statsd.tests.receiver import Metric, Receiver

SERVICES = "services: {reviews: {image: x}, ratings: {image: x}}\n"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    await made.open()
    yield made
    made.close()


def sinks(receiver: Receiver, more: str = "") -> str:
    return f"x-mesh: {{sinks: {{statsd: {{address: '{receiver.address}', interval: 200ms{more}}}}}}}\n{SERVICES}"


def requests(metrics: list[Metric]) -> float:
    return sum(metric.value for metric in metrics if metric.name.endswith("requests"))


async def test_requests_through_the_mesh_are_told(receiver: Receiver, tmp_path: Path) -> None:
    text = sinks(receiver, ", dialect: dogstatsd, tags: {env: staging}, by: [destination, code, path]")
    async with running_mesh(text, folder=tmp_path) as mesh:
        for _ in range(3):
            await mesh.get("reviews", "/stars|c%0aforged:1|c")
        await mesh.get("ratings")
        told = await receiver.metrics(lambda metrics: requests(metrics) == 4)
        assert ("destination", "reviews") in told[0].tags
        assert ("env", "staging") in told[0].tags
        assert {metric.name for metric in told} >= {"composemesh.requests", "composemesh.duration"}
        assert not any("forged" in metric.name for metric in told)
        assert mesh.problems == ()


async def test_an_edit_takes_effect_and_the_end_of_the_mesh_loses_nothing(receiver: Receiver, tmp_path: Path) -> None:
    async with running_mesh(SERVICES, folder=tmp_path) as mesh:
        await mesh.get("reviews")  # told to nobody
        mesh.file.write_text(sinks(receiver, ", prefix: shop").replace("200ms", "1h"))
        await mesh.until(lambda: any(getattr(feed, "name", "") == "statsd" for feed in mesh.view.hub.feeds))
        await mesh.get("ratings")
    (told,) = [metric for metric in await receiver.metrics(requests) if metric.name.endswith("requests")]
    assert told.name == "shop.caller.ratings.latest.200.requests"
    assert told.value == 1


async def test_where_nobody_listens_the_status_says_so_and_requests_go_on(tmp_path: Path) -> None:
    text = f"x-mesh: {{sinks: {{statsd: {{address: 'unix://{tmp_path}/nobody', interval: 100ms}}}}}}\n{SERVICES}"
    async with running_mesh(text, folder=tmp_path) as mesh:
        assert (await mesh.get("reviews")).status == 200
        (problem,) = await mesh.until(lambda: mesh.problems)
        assert (problem.code, problem.resource) == ("records-lost", "sink statsd")
        assert (await mesh.get("reviews")).status == 200


@pytest.mark.parametrize(
    ("settings", "line", "words"),
    [
        ("address: nowhere", 3, "must be HOST:PORT or unix:///PATH"),
        ("adress: 127.0.0.1:8125", 4, "Did you mean `address`?"),
        ("interval: 10", 4, "Write 10s."),
        ("by: [colour]", 4, "`sinks.statsd.by[0]`"),
        ("prefix: 'a b'", 4, "words with dots between"),
        ("tags: {env: live}", 3, "tags need dialect: dogstatsd"),
    ],
)
async def test_wrong_settings_are_told_at_their_line(tmp_path: Path, settings: str, line: int, words: str) -> None:
    with pytest.raises(Rejected) as rejected:
        async with running_mesh(f"x-mesh:\n  sinks:\n    statsd:\n      {settings}\n{SERVICES}", folder=tmp_path):
            pass
    (problem,) = rejected.value.problems
    assert (Path(problem.file).name, problem.line) == ("compose.yaml", line)
    assert words in str(problem)
