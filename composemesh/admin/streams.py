"""What goes on, told as it happens: server-sent events (HTML standard, 9.2) for the UI, the live view and scripts."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

import trio
from starlette.responses import Response

from composemesh.admin.guard import refusal
from composemesh.admin.views import Json, tapped
from composemesh.telemetry.tap import TooMany, watching

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from composemesh.admin.mesh_view import MeshView
    from composemesh.model.record import Record

BEAT = 10.0
"""Seconds of silence after which a line says that the stream lives."""
LOOK = 1.0
"""Seconds between looks at what has changed."""
BATCH = 100
"""Records in one write."""


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
        """`GET /api/v1/tap?service=&source=&status=`: every exchange as it ends."""
        try:
            wanted = _wanted(request.query_params)
        except ValueError as problem:
            return refusal(400, str(problem), "Try /api/v1/tap?service=reviews&status=5xx.")
        hub = self._mesh.hub

        async def events() -> AsyncGenerator[str, None]:
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
                        for start in range(0, len(records), BATCH):
                            yield "".join(_event("record", tapped(each)) for each in records[start : start + BATCH])
                        if watcher.dropped > told:
                            yield _event("lost", {"records": watcher.dropped - told})
                            told = watcher.dropped
            except TooMany:
                yield _event("refused", {"error": "Too many are watching already."})

        return Stream(events)

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


def _event(name: str, value: Json) -> str:
    return f"event: {name}\ndata: {json.dumps(value, ensure_ascii=False)}\n\n"


def _wanted(asked: QueryParams) -> Callable[[Record], bool]:
    """Which records a query asks for. Raises ValueError for a status that is none."""
    service, source, status = asked.get("service"), asked.get("source"), asked.get("status", "")
    family = int(status[0]) if len(status) == 3 and status[0] in "12345" and status[1:] == "xx" else 0
    code = int(status) if status.isdigit() and len(status) == 3 else 0
    if status and not (family or code):
        raise ValueError(f"status={status[:20]} is no status: say 503, or 5xx.")

    def wanted(record: Record) -> bool:
        if service is not None and record.destination.service != service:
            return False
        if source is not None and record.source.service != source:
            return False
        if code:
            return record.response_code == code
        return not family or record.response_code // 100 == family

    return wanted
