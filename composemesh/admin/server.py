"""The admin port and socket: hypercorn's HTTP/1.1 on trio, each connection fenced in.

Hypercorn 0.18 leaves three things to whoever runs it. What goes wrong in one connection is raised into the nursery
of all: here it is one log line, and that connection's end. A write to a client that does not read is shielded from
cancellation: here it has a deadline. And nothing limits the number of connections: here the oldest makes room for
the newest, so that a flood of silent ones can't keep the operator out.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from composemesh.runtime.groups import leaves
from composemesh.runtime.ports import listen, url_host
from composemesh.runtime.unix import address_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp

log = structlog.get_logger()

MOST_CONNECTIONS = 64
"""On each listener, so that whoever floods the port does not reach the Unix socket."""
DRAIN = 1.0
"""Seconds that answers in flight have after cancellation."""
SEND_TIMEOUT = 10.0
"""Seconds that a client may leave an answer unread."""


async def serve(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    unix_path: Path | None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; then answers in flight get a second, and the socket file is removed.

    Starts with the URL it came to listen on: where `port` is taken, the next free one. Raises OSError, with a
    sentence on what to do, where there is none, `host` is no address of this machine, or the socket can't be made.
    """
    with _unix_listener(unix_path) as unix:
        listeners = await listen(host, port, "x-mesh.admin")
        bound = listeners[0].socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_Server(app).run, listeners)
            if unix is not None:
                nursery.start_soon(_Server(app).run, [unix])
            task_status.started(f"http://{url_host(host)}:{bound}")


class _Server:
    """The connections of one set of listeners."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = ASGIWrapper(app)  # type: ignore[arg-type]
        self._config = Config()
        self._config.errorlog = None
        self._config.include_server_header = False
        self._config.h11_max_incomplete_size = 16 * 1024
        self._context = WorkerContext(None)
        self._lives: dict[trio.SocketStream, trio.CancelScope] = {}
        """Open connections, oldest first."""

    async def run(self, listeners: list[trio.SocketListener]) -> None:
        """Accept until cancelled; closes the listeners at once, and the connections when they have drained."""
        async with trio.open_nursery() as connections:
            try:
                await trio.serve_listeners(self._serve, listeners, handler_nursery=connections)
            finally:
                await self._context.terminated.set()  # idle connections close, others after their answer
                for life in self._lives.values():
                    life.deadline = trio.current_time() + DRAIN

    async def _serve(self, stream: trio.SocketStream) -> None:
        """One connection, from accept to close. Never raises, whatever the peer does."""
        if len(self._lives) >= MOST_CONNECTIONS:
            next(iter(self._lives.values())).cancel()
        # Shielded, because cancelling the server must not cut an answer short: `run` sets the deadline instead.
        with trio.CancelScope(shield=True) as life:
            self._lives[stream] = life
            if self._context.terminated.is_set():
                life.deadline = trio.current_time() + DRAIN
            try:
                await _Connection(self._app, self._config, self._context, ConnectionState({}), stream).run()  # type: ignore[arg-type]
            except* Exception as problems:
                log.warning("admin connection ended", problem=repr(next(leaves(problems))))
            finally:
                del self._lives[stream]
                await trio.aclose_forcefully(stream)


class _Connection(TCPServer):
    """Hypercorn's connection, but a client that does not read can't hold it for ever."""

    async def protocol_send(self, event: Event) -> None:
        if not isinstance(event, RawData):
            await super().protocol_send(event)
            return
        try:
            async with self.send_lock:
                with trio.fail_after(SEND_TIMEOUT):
                    await self.stream.send_all(event.data)
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            await trio.aclose_forcefully(self.stream)
            await self.protocol.handle(Closed())


@contextmanager
def _unix_listener(path: Path | None) -> Iterator[trio.SocketListener | None]:
    """A listener that only its owner can connect to; what an earlier mesh left at `path` is replaced.

    The caller holds the project's lock, so that no living mesh can own it.
    """
    if path is None:
        yield None
        return
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        before = os.umask(0o177)  # no moment at which others could connect
        try:
            with address_of(path) as address:
                sock.bind(address)
        finally:
            os.umask(before)
        sock.listen(MOST_CONNECTIONS)
        yield trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    finally:
        sock.close()
        path.unlink(missing_ok=True)
