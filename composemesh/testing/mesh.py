"""A whole mesh for a test: real sockets on loopback, no Docker, no root; services are functions of the test.

    async with running_mesh(COMPOSE, folder=tmp_path) as mesh:
        response = await mesh.get("reviews", "/1")

Every service of the Compose file stands at an address of its own and answers with what it was asked, unless
`applications` has something better; `caller` calls them all. Needs Linux, where all of 127.0.0.0/8 answers.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import trio

from composemesh import app
from composemesh.admin.mesh_view import MeshView
from composemesh.capture.loopback import Doors, LoopbackCapture, Member, open_doors
from composemesh.config.loaders.resolved import Resolved
from composemesh.config.yaml import parse
from composemesh.model.problem import Problem
from composemesh.model.workload import Attachment, Discovered, Workload
from composemesh.routing.names import Names
from composemesh.runtime.captured import Address
from composemesh.runtime.groups import leaves
from composemesh.runtime.latest import Latest
from composemesh.testing.http import Application, Response, answer, ask, echo

CALLER = "caller"
PORT = 9080
NETWORK = "loopback"
PATIENCE = 20.0
"""Seconds for a mesh to serve, and for what a test waits for: machines are busy."""
LOOK_EVERY = 0.02
SPARE = 8
"""Services that are not in the Compose file and can be called: those that a source of a plugin finds."""


Handler = Callable[[trio.SocketStream], Awaitable[object]]


class RunningMesh:
    """A mesh that serves, and what a test may ask of it."""

    def __init__(self, file: Path, view: MeshView, names: Names, own: Doors, spare: list[Address]) -> None:
        self.file = file
        """The Compose file: write another text into it, and the mesh follows."""
        self.view = view
        self._names = names
        self._own = own
        self._spare = spare

    def __repr__(self) -> str:
        return f"<RunningMesh {self.file} {self.view.admin_url}>"

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What `composemesh status` would list."""
        view = self.view
        return (*view.problems.value, *view.gateways.value, *view.events())

    def address(self, service: str) -> Address:
        """Where the caller connects to a service of the Compose file, for clients of your own."""
        return self._own.calls[service]

    async def get(self, service: str, path: str = "/", headers: Mapping[str, str] | None = None) -> Response:
        """What the caller gets from a service, through the mesh."""
        return await self.request(service, path, headers=headers)

    async def request(
        self,
        service: str,
        path: str = "/",
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        """The same with any method and body."""
        host, port = self._own.calls.get(service) or await self._door(service)
        return await ask(host, port, path, method, headers or {}, body, f"{service}:{PORT}")

    async def _door(self, service: str) -> Address:
        """Where the caller connects to a service that was found, as it would to the virtual address of its name."""
        name = await self.until(lambda: self._names.find(service))
        address = self._own.calls[service] = self._spare.pop()
        self._own.meant[address] = (name.addresses[0], PORT)
        return address

    async def until(self, condition: Callable[[], object]) -> Any:
        """Wait until a condition holds, and return what it gave. Raises TooSlowError after twenty seconds.

        For what cannot be awaited otherwise: an edit that takes effect, a Problem that comes or goes.
        """
        with trio.fail_after(PATIENCE):
            while not (found := condition()):  # noqa: ASYNC110
                await trio.sleep(LOOK_EVERY)
        return found


@asynccontextmanager
async def running_mesh(
    compose: str,
    *,
    folder: Path,
    applications: Mapping[str, Application] | None = None,
    handlers: Mapping[str, Handler] | None = None,
) -> AsyncGenerator[RunningMesh, None]:
    """Run a mesh with this Compose file, which is written into `folder`, for as long as the block lasts.

    Files that the Compose file names (`plugins`, `resources`) are relative to the folder; plugins that are installed
    are there, too. `handlers` are services that want the connections themselves. Raises `composemesh.app.Rejected`
    where there is an error in the Compose file.
    """
    file = folder / "compose.yaml"
    file.write_text(compose)
    state = folder / "state"
    state.mkdir(mode=0o700)
    services = {name: _names(name, said) for name, said in parse(compose).documents[0].value["services"].items()}
    members = [Member(name, names, PORT) for name, names in services.items()]
    callable_ = tuple(dict.fromkeys(name for names in services.values() for name in names))
    members.append(Member(CALLER, (CALLER,), PORT, calls=callable_))

    async def resolve() -> Resolved:
        return Resolved(await trio.Path(file).read_text(), (file,))

    with ExitStack() as stack:
        doors = open_doors(members)
        for each in doors.values():
            stack.callback(each.close)
        discovered = Latest(Discovered(tuple(_workload(member, doors[member.id]) for member in members)))
        own, names = doors[CALLER], Names()
        own.outbound += [stack.enter_context(_listening()) for _ in range(SPARE)]
        spare = [door.getsockname() for door in own.outbound[-SPARE:]]
        capture = LoopbackCapture(discovered, doors)
        options = app.MeshOptions("test", state, resolve=resolve, initial_check=True, admin="127.0.0.1:0")
        raised: BaseException | None = None
        async with trio.open_nursery() as nursery:
            for name in services:
                host, port = doors[name].home
                listeners = await trio.open_tcp_listeners(port, host=host)
                handler = (handlers or {}).get(name)
                handler = handler or partial(answer, application=(applications or {}).get(name, echo))
                nursery.start_soon(trio.serve_listeners, handler, listeners)
            try:
                with trio.fail_after(PATIENCE):
                    run = partial(app.run, options, sources=[_Known(discovered)], capture=capture, names=names)
                    view = await nursery.start(run)
                yield RunningMesh(file, view, names, own, spare)
            except Exception as problem:
                raised = next(leaves(problem))  # nurseries wrap it in groups of one
            nursery.cancel_scope.cancel()
        if raised is not None:
            raise raised


def _names(name: str, said: Any) -> tuple[str, ...]:
    """What callers call it: its own name, and that of the mesh service that it says it is part of."""
    x_mesh: Any = cast("dict[str, Any]", said).get("x-mesh") if isinstance(said, dict) else None
    service: Any = cast("dict[str, Any]", x_mesh).get("service") if isinstance(x_mesh, dict) else None
    return (name, service) if isinstance(service, str) and service != name else (name,)


def _listening() -> socket.socket:
    door = socket.create_server(("127.0.0.1", 0))
    door.setblocking(False)
    return door


class _Known:
    """The source of the test's own services."""

    def __init__(self, discovered: Latest[Discovered]) -> None:
        self._discovered = discovered

    async def watch(self, publish: Callable[[Discovered], None]) -> None:
        async for state in self._discovered:
            publish(state)


def _workload(member: Member, doors: Doors) -> Workload:
    host, port = doors.home
    place = Attachment(NETWORK, NETWORK, (host,), member.names)
    return Workload(member.id, f"test-{member.id}-1", member.id, "1", pid=0, attachments=(place,), ports=(port,))
