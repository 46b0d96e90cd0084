"""`POST /api/v1/processes`, on the Unix socket only: a process joins, and stays for as long as it reads the answer.

The answer is a stream of events: `refused` with the reason; or `joined`, once everything stands, so that the process
may start and finds its doors open, and `doors` whenever there are more. Whichever side dies, the kernel closes the
connection, and the other side knows.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

import trio

from composemesh.admin.bodies import whole
from composemesh.admin.guard import refusal
from composemesh.admin.streams import Stream
from composemesh.admin.views import Json
from composemesh.discovery.joined import Unwelcome

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from composemesh.admin.mesh_view import MeshView
    from composemesh.admin.processes import Processes
    from composemesh.model.workload import Workload

LONGEST = 64 * 1024
"""Bytes of what a process says of itself."""
CAPTURED_WITHIN = 5.0
"""Seconds for its doors to open."""
MOST_CALLS = 254


async def joining(request: Request, mesh: MeshView) -> Response:
    """A process says who it is; `discovery.joined` says who is let in."""
    if request.scope.get("server") is not None:
        return refusal(403, "Processes join by the Unix socket only.", "`composemesh run` does.")
    processes = mesh.processes
    if processes is None or not mesh.ready:
        return refusal(503, "The mesh is still starting.", "Ask again in a moment.")
    try:
        said = read_request(await whole(request, LONGEST))
    except ValueError as problem:
        return refusal(400, f"{problem}.", 'Send {"name", "version", "port", "pid", "calls": {name: port}}.')
    return Stream(lambda: _stay(processes, mesh, said))


async def _stay(processes: Processes, mesh: MeshView, said: dict[str, Any]) -> AsyncGenerator[str, None]:
    calls = said.pop("calls")
    try:
        with processes.joined.joining(**said, others=mesh.discovered.value) as workload:
            processes.capture.want(workload, calls)
            shown = None
            with trio.fail_after(CAPTURED_WITHIN):
                shown = await _other_doors(processes, workload, shown)
            yield _event("joined", {"doors": shown})
            while True:
                shown = await _other_doors(processes, workload, shown)
                yield _event("doors", {"doors": shown})
    except Unwelcome as problem:
        yield _event("refused", {"error": str(problem)})
    except trio.TooSlowError:
        yield _event("refused", {"error": "The mesh did not open its doors in time: ask again."})


async def _other_doors(processes: Processes, workload: Workload, shown: list[Json] | None) -> list[Json]:
    """Wait until a process is captured, and its doors are others than these. Raises Unwelcome."""
    feed = processes.capture.captures
    while True:
        version, captures = feed.version, feed.value
        if workload.id in captures.refused:
            raise Unwelcome(captures.refused[workload.id])
        if workload.life in captures.captured:
            doors = [
                {"service": door.service, "port": door.port, "address": door.address[0], "at": door.address[1]}
                for door in processes.capture.doors(workload)
            ]
            if doors != shown:
                return doors
        await feed.after(version)


def _event(name: str, value: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(value)}\n\n"


def read_request(body: bytes) -> dict[str, Any]:
    """What a process says of itself. Raises ValueError for anything else."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the request is not JSON") from None
    if not isinstance(said, dict):
        raise ValueError("the request is no mapping")
    shapes: dict[str, type] = {"name": str, "version": str, "port": int, "pid": int, "calls": dict}
    read: dict[str, Any] = {}
    for word, shape in shapes.items():
        value = said.get(word, shape())
        if not isinstance(value, shape) or isinstance(value, bool):
            raise ValueError(f"{word} is not what it should be")
        read[word] = value
    calls = read["calls"]
    if len(calls) > MOST_CALLS or not all(type(port) is int and 0 < port < 65536 for port in calls.values()):
        raise ValueError("calls is not a table of names and ports")
    return read
