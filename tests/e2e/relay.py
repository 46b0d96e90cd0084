"""The engine's socket at another place, to be taken away: nobody may restart the engine itself for a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from composemesh.discovery.docker.client import DEFAULT_ENDPOINT

ENGINE = DEFAULT_ENDPOINT.removeprefix("unix://")


@asynccontextmanager
async def relay(path: Path) -> AsyncIterator[None]:
    """The engine's socket at another place; at the end it is gone, and every connection with it."""

    async def pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
        async for data in source:
            await sink.send_all(data)
        await sink.send_eof()

    async def serve(near: trio.SocketStream) -> None:
        far = await trio.open_unix_socket(ENGINE)
        async with near, far:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(pump, near, far)
                    nursery.start_soon(pump, far, near)
            except* (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

    with trio.socket.socket(trio.socket.AF_UNIX) as listening:
        await listening.bind(str(path))
        listening.listen()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, serve, [trio.SocketListener(listening)])
            yield
            nursery.cancel_scope.cancel()
    await trio.Path(path).unlink()
