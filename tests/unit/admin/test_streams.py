"""Streams over a real socket: what they tell, that they end with their reader, and what a slow one costs."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import trio

from composemesh.admin.mesh_view import MeshView
from composemesh.model.peer import UNKNOWN
from composemesh.telemetry.tap import MOST_WAITING, Watcher

from .conftest import Served, peer


async def events(stream: trio.SocketStream) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
    """Events of a chunked answer, whose chunk sizes are lines of their own."""
    buffer, name = b"", ""
    while True:
        while b"\n" not in buffer:
            buffer += await stream.receive_some()
        line, _, buffer = buffer.partition(b"\n")
        word, _, value = line.decode().strip().partition(": ")
        if word == "event":
            name = value
        elif word == "data":
            yield name, json.loads(value)


async def opened(server: Served, path: str) -> trio.SocketStream:
    stream = await server.connect()
    await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
    return stream


async def until_watchers(mesh: MeshView, count: int) -> None:
    with trio.fail_after(5):
        while sum(isinstance(feed, Watcher) for feed in mesh.hub.feeds) != count:  # noqa: ASYNC110
            await trio.sleep(0.01)


async def test_a_tap_tells_what_ends_and_ends_with_its_reader(
    server: Served, mesh: MeshView, tell: Callable[..., None]
) -> None:
    stream = await opened(server, "/api/v1/tap?service=reviews&status=5xx")
    await until_watchers(mesh, 1)
    tell(peer("productpage"), peer("reviews/v1"), 200)
    tell(peer("productpage"), peer("details/v1"), 503)
    tell(peer("productpage"), peer("reviews/v1"), 503)
    with trio.fail_after(5):
        async with aclosing(events(stream)) as told:
            name, record = await anext(told)
        assert (name, record["source"], record["destination"]) == ("record", "productpage", "reviews")
        assert (record["version"], record["status"], record["duration_ms"]) == ("v1", 503, 20.0)
    await stream.aclose()
    await until_watchers(mesh, 0)


async def test_a_reader_that_does_not_keep_up_is_told_what_it_lost(mesh: MeshView, tell: Callable[..., None]) -> None:
    watcher = Watcher(lambda record: True)
    mesh.hub.add_feed(watcher)
    for _ in range(MOST_WAITING + 5):
        tell(UNKNOWN, peer("a"))
    assert len(await watcher.take()) == MOST_WAITING
    assert watcher.dropped == 5


async def test_events_tell_the_status_at_once_and_the_graph_when_there_is_traffic(
    server: Served, mesh: MeshView, tell: Callable[..., None]
) -> None:
    async with await opened(server, "/api/v1/events") as stream:
        seen: list[str] = []
        with trio.fail_after(10):
            async with aclosing(events(stream)) as told:
                async for name, value in told:
                    seen.append(name)
                    if name == "graph" and value["edges"]:
                        break
                    if seen == ["status", "graph"]:
                        tell(peer("productpage"), peer("reviews/v1"))
        assert seen[:2] == ["status", "graph"]


async def test_what_is_no_status_is_refused(server: Served) -> None:
    for status in ("abc", "6xx", "99", "5x"):
        assert (await server.get(f"/api/v1/tap?status={status}"))[0] == 400


async def test_a_reader_with_a_limit_is_told_a_choice_and_how_much_there_was(
    server: Served, mesh: MeshView, tell: Callable[..., None]
) -> None:
    stream = await opened(server, "/api/v1/tap?limit=40")
    await until_watchers(mesh, 1)
    for number in range(200):
        tell(peer("productpage"), peer("reviews/v1"), 503 if number % 50 == 0 else 200)
    told = []
    with trio.fail_after(5):
        async with aclosing(events(stream)) as said:
            async for name, value in said:
                if name == "sampled":
                    break
                told.append(value)
    assert value == {"records": 200, "told": 10}
    assert [one["status"] for one in told].count(503) == 4
    assert len(told) == 10
    tell(peer("productpage"), peer("details/v1"))
    with trio.fail_after(5):
        async with aclosing(events(stream)) as said:
            name, value = await anext(said)
    assert (name, value["destination"], value["failed"]) == ("record", "details", False)
    await stream.aclose()


async def test_what_is_no_limit_and_no_flag_is_refused(server: Served) -> None:
    for query in ("limit=0x1", "limit=9999", "flag=XX"):
        assert (await server.get(f"/api/v1/tap?{query}"))[0] == 400
