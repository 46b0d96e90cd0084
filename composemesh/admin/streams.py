"""What goes on, told as it happens: server-sent events (HTML standard, 9.2) for the UI, the live view and scripts."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

import trio
from starlette.responses import Response

from composemesh.admin import tapping
from composemesh.admin.guard import refusal
from composemesh.admin.views import Json, tapped
from composemesh.telemetry.tap import TooMany, watching

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from composemesh.admin.mesh_view import MeshView
    from composemesh.admin.tapping import Wanted
    from composemesh.model.record import Record
    from composemesh.telemetry.hub import Hub

BEAT = 10.0
"""Seconds of silence after which a line says that the stream lives."""
LOOK = 1.0
"""Seconds between looks at what has changed."""
BATCH = 100
"""Records in one write."""
PACE = 0.25
"""Seconds between two writes to a reader with a limit: people see it as at once."""


class Stream(Response):
    """An answer that ends when its reader leaves, or when the mesh does."""

    def __init__(self, events: Callable[[], AsyncGenerator[str, None]]) -> None:
        super().__init__(headers={"content-type": "text/event-stream"})
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})

        async def until_left() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(until_left)
            async with aclosing(self._events()) as events:
                async for text in events:
                    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
            nursery.cancel_scope.cancel()


class Streams:
    """The handlers."""

    def __init__(self, mesh: MeshView) -> None:
        self._mesh = mesh

    async def tap(self, request: Request) -> Response:
        """`GET /api/v1/tap?service=&source=&status=&flag=&failed=&text=&limit=`: every exchange as it ends.

        With a `limit`, no more than that a second: those that failed, and an even choice of the others.
        """
        try:
            wanted, most = tapping.wanted(request.query_params), tapping.limit(request.query_params)
        except ValueError as problem:
            return refusal(400, str(problem), "Try /api/v1/tap?service=reviews&status=5xx.")
        return Stream(lambda: _tap(self._mesh.hub, wanted, most))

    async def events(self, request: Request) -> Response:
        """`GET /api/v1/events`: `status` when it has changed, and `graph` once a second while there is traffic."""
        mesh = self._mesh

        async def events() -> AsyncGenerator[str, None]:
            before: dict[str, Json] = {}
            silent_since = trio.current_time()
            while True:
                for name, value in (("status", mesh.status()), ("graph", mesh.graph(60.0))):
                    if before.get(name) != value:
                        before[name] = value
                        silent_since = trio.current_time()
                        yield _event(name, value)
                if trio.current_time() - silent_since > BEAT:
                    silent_since = trio.current_time()
                    yield ": nothing\n\n"
                await trio.sleep(LOOK)

        return Stream(events)


async def _tap(hub: Hub, wanted: Wanted, most: int) -> AsyncGenerator[str, None]:
    try:
        with watching(hub, wanted) as watcher:
            yield ": watching\n\n"
            told = 0
            while True:
                records: list[Record] = []
                with trio.move_on_after(BEAT):
                    records = await watcher.take()
                if not records:
                    yield ": nothing\n\n"
                chosen = tapping.sample(records, max(1, round(most * PACE))) if most else records
                for start in range(0, len(chosen), BATCH):
                    yield "".join(_event("record", tapped(each)) for each in chosen[start : start + BATCH])
                if len(chosen) < len(records):
                    yield _event("sampled", {"records": len(records), "told": len(chosen)})
                if watcher.dropped > told:
                    yield _event("lost", {"records": watcher.dropped - told})
                    told = watcher.dropped
                if most:
                    await trio.sleep(PACE)
    except TooMany:
        yield _event("refused", {"error": "Too many are watching already."})


def _event(name: str, value: Json) -> str:
    return f"event: {name}\ndata: {json.dumps(value, ensure_ascii=False)}\n\n"
