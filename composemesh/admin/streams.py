"""What goes on, told as it happens: server-sent events (HTML standard, 9.2) for the UI, the live view and scripts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

import trio
from starlette.responses import Response

from composemesh.admin import tapping
from composemesh.admin.graph_views import window_seconds
from composemesh.admin.guard import refusal
from composemesh.admin.sampling import Sample, Sampler, event
from composemesh.admin.views import tapped
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
        self._sampler = Sampler(mesh)

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
        """`GET /api/v1/events?window=60s&changes=true`: `status` and `graph` when they have changed.

        With `changes`, whole only at first, and then the parts that are others now: see `sampling`.
        """
        try:
            window = window_seconds(request.query_params.get("window", "60s"))
        except ValueError as problem:
            return refusal(400, str(problem), "Try /api/v1/events?window=60s.")
        changes = request.query_params.get("changes") == "true"

        async def events() -> AsyncGenerator[str, None]:
            known: Sample | None = None
            silent_since = trio.current_time()
            while True:
                sample = await self._sampler.look(window)
                text = sample.since(known, changes) if sample is not known else ""
                known = sample
                if not text and trio.current_time() - silent_since > BEAT:
                    text = ": nothing\n\n"
                if text:
                    silent_since = trio.current_time()
                    yield text
                await trio.sleep_until(sample.due)

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
                    yield "".join(event("record", tapped(each)) for each in chosen[start : start + BATCH])
                if len(chosen) < len(records):
                    yield event("sampled", {"records": len(records), "told": len(chosen)})
                if watcher.dropped > told:
                    yield event("lost", {"records": watcher.dropped - told})
                    told = watcher.dropped
                if most:
                    await trio.sleep(PACE)
    except TooMany:
        yield event("refused", {"error": "Too many are watching already."})
