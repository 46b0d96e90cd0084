"""Samples: taken once for all who watch, told in parts, and never too often."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from composemesh.admin.mesh_view import MeshView
from composemesh.admin.sampling import Sampler, graph_changes, status_changes
from composemesh.model.peer import UNKNOWN
from unit.admin.conftest import Clock

from .conftest import Served, peer
from .test_streams import events, opened


def told(text: str) -> dict[str, Any]:
    """Events by name."""
    pairs = (part.split("\n", 1) for part in text.strip().split("\n\n") if part)
    return {name.removeprefix("event: "): json.loads(data.removeprefix("data: ")) for name, data in pairs}


async def test_who_comes_in_the_same_second_gets_the_same_sample(mesh: MeshView, autojump_clock: MockClock) -> None:
    sampler = Sampler(mesh)
    first = await sampler.look(60)
    assert await sampler.look(60) is first
    assert await sampler.look(300) is not first
    await trio.sleep_until(first.due)
    assert await sampler.look(60) is not first


async def test_a_watcher_is_told_what_changed_and_who_slept_everything(
    mesh: MeshView, tell: Callable[..., None], clock: Clock, autojump_clock: MockClock
) -> None:
    sampler = Sampler(mesh)
    tell(peer("productpage"), peer("reviews/v1"))
    first = await sampler.look(60)
    assert set(told(first.since(None, True))) == {"status", "graph"}
    await trio.sleep_until(first.due)
    tell(UNKNOWN, peer("productpage"))
    second = await sampler.look(60)
    changes = told(second.since(first, True))["graph-changes"]
    assert [edge["source"] for edge in changes["edges"]] == ["unknown"]
    assert [node["id"] for node in changes["nodes"]] == ["unknown"]
    assert set(told(second.since(first, False))) == {"status", "graph"}
    await trio.sleep_until(second.due)
    clock.now += 100
    third = await sampler.look(60)
    gone = told(third.since(second, True))["graph-changes"]["gone"]
    assert len(gone["edges"]) == 2
    assert gone["nodes"] == ["productpage/latest", "unknown"] or gone["nodes"] == ["unknown"]
    assert len(told(third.since(first, True))["graph"]["edges"]) == 0


async def test_nothing_new_is_nothing_told(mesh: MeshView, autojump_clock: MockClock) -> None:
    sampler = Sampler(mesh)
    first = await sampler.look(60)
    await trio.sleep_until(first.due)
    assert (await sampler.look(60)).since(first, True) == ""


async def test_a_sample_that_took_long_is_followed_by_a_longer_pause(
    mesh: MeshView, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    times = iter((0.0, 0.5))
    monkeypatch.setattr("composemesh.admin.sampling.time.thread_time", lambda: next(times))
    sample = await Sampler(mesh).look(60)
    assert sample.due - trio.current_time() == 25.0


async def test_old_samples_are_let_go(mesh: MeshView, autojump_clock: MockClock) -> None:
    sampler = Sampler(mesh)
    for window in range(1, 100):
        await sampler.look(window)
    assert len(sampler._newest) == 8
    first = await sampler.look(60)
    await trio.sleep_until(first.due)
    second = await sampler.look(60)
    await trio.sleep_until(second.due)
    await sampler.look(60)
    assert second._before is None


def test_changes_of_a_status_name_the_services_that_are_new_changed_and_gone() -> None:
    before = {"state": "starting", "project": "shop", "services": [{"name": "a", "n": 1}, {"name": "b", "n": 1}]}
    after = {"state": "serving", "project": "shop", "services": [{"name": "b", "n": 2}, {"name": "c", "n": 1}]}
    assert status_changes(before, after) == {
        "state": "serving",
        "services": [{"name": "b", "n": 2}, {"name": "c", "n": 1}],
        "gone": {"services": ["a"]},
    }


def test_an_edge_is_its_ends_and_its_protocol() -> None:
    edge = {"source": "a/1", "destination": "b/1", "protocol": "http", "requests": 1}
    tcp = {**edge, "protocol": "tcp"}
    before = {"window_seconds": 60, "nodes": [], "edges": [edge, tcp]}
    after = {"window_seconds": 60, "nodes": [], "edges": [{**edge, "requests": 2}]}
    changes = graph_changes(before, after)
    assert changes["edges"] == [{**edge, "requests": 2}]
    assert changes["gone"] == {"nodes": [], "edges": ["a/1 b/1 tcp"]}


async def test_a_stream_of_changes_begins_whole(server: Served, mesh: MeshView, tell: Callable[..., None]) -> None:
    async with await opened(server, "/api/v1/events?window=5m&changes=true") as stream:
        seen: list[str] = []
        with trio.fail_after(10):
            async with aclosing(events(stream)) as heard:
                async for name, value in heard:
                    seen.append(name)
                    if seen == ["status", "graph"]:
                        assert value["window_seconds"] == 300
                        tell(peer("productpage"), peer("reviews/v1"))
                    if name == "graph-changes":
                        assert value["edges"][0]["requests"] == 1
                        break
        assert seen[:2] == ["status", "graph"]


async def test_a_window_that_is_none_is_refused(server: Served) -> None:
    assert (await server.get("/api/v1/events?window=soon"))[0] == 400
    assert (await server.get("/api/v1/series?window=all"))[0] == 400


async def test_a_series_has_steps_that_add_up(
    server: Served, mesh: MeshView, tell: Callable[..., None], clock: Clock
) -> None:
    for _ in range(30):
        tell(peer("productpage"), peer("reviews/v1"))
        tell(peer("productpage"), peer("details/v1"), 503)
        clock.now += 1
    for window, step, count in (("60s", 2, 16), ("5m", 10, 4), ("1h", 60, 2)):
        body = json.loads((await server.get(f"/api/v1/series?destination=reviews&window={window}"))[2])
        assert body["step_seconds"] == step
        assert len(body["points"]) == count  # none from before the mesh
        assert sum(point["requests"] for point in body["points"]) == 30
        assert body["points"][-1]["ago"] < step
        assert [point["ago"] for point in body["points"]] == sorted((p["ago"] for p in body["points"]), reverse=True)
    body = json.loads((await server.get("/api/v1/series?source=productpage/latest&window=60s"))[2])
    assert sum(point["errors"] for point in body["points"]) == 30
    assert sum(point["requests"] for point in body["points"]) == 60
    body = json.loads((await server.get("/api/v1/series?destination=reviews/v9&window=60s"))[2])
    assert not any(point["requests"] for point in body["points"])
    clock.now += 2 * 3600
    for window, count in (("10s", 5), ("60s", 30), ("5m", 30), ("1h", 60)):
        body = json.loads((await server.get(f"/api/v1/series?window={window}"))[2])
        assert len(body["points"]) == count
