"""Where the xDS port opens. Nothing of what stands behind it is loaded before the first client comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from composemesh.runtime.ports import listen, url_host

if TYPE_CHECKING:
    from composemesh.model.problem import Problem
    from composemesh.model.snapshot import Snapshot
    from composemesh.model.workload import Discovered
    from composemesh.runtime.latest import Latest
    from composemesh.xds.server import Server


class XdsPort:
    """The xDS server of one mesh, as far as it is there yet."""

    def __init__(self, snapshot: Latest[Snapshot], discovered: Latest[Discovered]) -> None:
        self._snapshot = snapshot
        self._discovered = discovered
        self._server: Server | None = None
        self._opening = trio.Lock()

    def __repr__(self) -> str:
        return f"<XdsPort {self._server or 'nobody came yet'!r}>"

    def rows(self) -> list[dict[str, Any]]:
        """`status.xds`: who has what."""
        return [] if self._server is None else self._server.rows()

    def problems(self) -> list[Problem]:
        """What clients refused, and what can't be said to them."""
        return [] if self._server is None else self._server.problems()

    async def serve(
        self, host: str, port: int, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until cancelled; then clients are told goodbye, which takes two seconds at most.

        Starts with the URL it came to listen on: where `port` is taken, the next free one. Raises OSError
        where there is none, or `host` is no address of this machine.
        """
        listeners = await listen(host, port, "x-mesh.xds")
        bound = listeners[0].socket.getsockname()[1]
        task_status.started(f"http://{url_host(host)}:{bound}")
        async with trio.open_nursery() as updates, trio.open_nursery() as connections:

            async def welcome(stream: trio.SocketStream) -> None:
                async with self._opening:
                    if self._server is None:
                        make = await trio.to_thread.run_sync(_server_class)
                        self._server = make(self._snapshot, self._discovered)
                        updates.start_soon(self._server.run)
                await self._server.serve(stream)

            try:
                await trio.serve_listeners(welcome, listeners, handler_nursery=connections)
            finally:
                if self._server is not None:
                    self._server.drain()
                updates.cancel_scope.cancel()


def _server_class() -> type[Server]:
    from composemesh.xds.server import Server

    return Server
