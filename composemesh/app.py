"""The composition root: builds every room, opens them in order, and closes them in reverse.

    discovery → what runs ─┬─→ config → what is configured ─┐
                           └──────────────┬─────────────────┴─→ capture → listeners → proxy → telemetry → admin

Nothing here decides anything; it only says who is given what. On the way out the order matters: new connections go
past the mesh first, then what is in flight drains, and only then do the rules leave the containers, because the
kernel forgets redirected connections together with the last rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import trio

from composemesh.admin.api import make_app
from composemesh.admin.mesh_view import MeshView
from composemesh.admin.processes import Processes
from composemesh.admin.server import serve
from composemesh.admin.token import token_in
from composemesh.capture.doors import ProcessCapture
from composemesh.capture.modes import Capture
from composemesh.capture.together import Together
from composemesh.config.asking import Resolve
from composemesh.config.publish import Publisher
from composemesh.discovery.docker.client import DockerClient
from composemesh.discovery.found import FoundSources
from composemesh.discovery.joined import Joined
from composemesh.discovery.mdns.source import MdnsSource
from composemesh.discovery.registry import Registry, Source
from composemesh.model.problem import Problem
from composemesh.model.snapshot import CaptureMode
from composemesh.model.workload import Discovered
from composemesh.plugins import Plugins, described
from composemesh.proxy.balance.making import Balancers
from composemesh.proxy.chain.live import Filters
from composemesh.proxy.fleet import Fleet
from composemesh.routing.names import Names
from composemesh.runtime.addresses import host_and_port
from composemesh.runtime.captured import Captures
from composemesh.runtime.latest import Latest
from composemesh.runtime.supervise import supervise
from composemesh.stack.state import APPLIED
from composemesh.telemetry.hub import Hub
from composemesh.telemetry.sinks.running import Sinks
from composemesh.xds.port import XdsPort

if TYPE_CHECKING:
    from composemesh.identity.issuer import Contexts
    from composemesh.model.gateway import Server

SETTLED_WITHIN = 20.0
"""Seconds that a start waits for every workload to be captured or refused; what takes longer follows later."""

T = TypeVar("T")


class Rejected(Exception):
    """The first configuration is wrong, and there is no older one to serve with."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class Capturing(Protocol):
    """How traffic reaches the mesh: `capture.modes.Capture`, or one made for host processes."""

    captures: Latest[Captures]

    async def run(self) -> None: ...

    async def rest(self) -> None:
        """Let new connections go past the mesh; those that stand go on."""
        ...

    async def release(self) -> None:
        """Leave nothing behind."""
        ...


@dataclass(frozen=True, slots=True)
class MeshOptions:
    """What a mesh is started with; everything else is configuration, and may change while it runs."""

    project: str
    state: Path
    """The project's state folder; the admin socket is made in it."""
    docker: str = "unix:///var/run/docker.sock"
    resolve: Resolve | None = None
    """Asks Compose for the resolved project; None where no Compose file is known (labels configure alone)."""
    files: Sequence[Path] = ()
    """Compose files to watch, also while they can't be resolved."""
    initial_check: bool = False
    """Whether to refuse to start on a configuration with errors."""
    capture: str = ""
    """Overrides `x-mesh.capture`, unless empty."""
    admin: str = ""
    """`HOST:PORT`; overrides `x-mesh.admin`, unless empty."""
    plugins: Plugins | None = None
    """Plugins that are loaded already; None: those that are installed."""


async def run(
    options: MeshOptions,
    *,
    sources: Sequence[Source] | None = None,
    capture: Capturing | None = None,
    names: Names | None = None,
    task_status: trio.TaskStatus[MeshView] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Be the mesh of one project until cancelled; then release capture and drain, within a few seconds.

    `task_status` is told, once the mesh serves, what the live view and the commands may ask of it. `sources`
    and `capture` stand in for Docker and its namespaces (`composemesh demo`), `names` for its book of names.
    Raises Rejected, and EngineUnreachable where there is no Docker at the start; later absences are survived.
    """
    ending = trio.Event()

    async def hear_the_end() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ending.set()

    async with trio.open_nursery() as outer:
        outer.start_soon(hear_the_end)
        # From here on a cancellation is heard, not suffered: what is in flight gets its time to end well.
        with trio.CancelScope(shield=True):
            await _run(options, sources, capture, names or Names(), ending, task_status)
        outer.cancel_scope.cancel()


async def _run(
    options: MeshOptions,
    sources: Sequence[Source] | None,
    capture: Capturing | None,
    names: Names,
    ending: trio.Event,
    task_status: trio.TaskStatus[MeshView],
) -> None:
    registry = Registry()
    hub = Hub()
    plugins = options.plugins or Plugins()
    async with trio.open_nursery() as rooms:
        if sources is None:
            client = DockerClient(options.docker)
            await client.negotiate()
            sources = [plugins.catalogs.sources["docker"](client, options.project)]
        joined, mdns = Joined(), MdnsSource(options.project)
        found = FoundSources(lambda name, settings: plugins.catalogs.sources[name](settings))
        applied = options.state / APPLIED
        config = Publisher(options.project, registry.discovered, options.resolve, options.files, applied, plugins)
        # Compose and Docker answer at the same time.
        await rooms.start(config.ask_early)
        rooms.start_soon(registry.run, [*sources, joined, mdns, found])
        await plugins.load_installed()
        await _until(registry.discovered, lambda discovered: not discovered.trouble)
        await config.load()
        if config.rejection and options.initial_check:
            raise Rejected(config.rejection)
        overrides = {"capture": options.capture, "admin": options.admin}
        config.hold(*(word for word, given in overrides.items() if not given), "xds")
        rooms.start_soon(supervise, "config", config.run)
        rooms.start_soon(found.follow, config.snapshot, registry.discovered)

        in_effect = CaptureMode.LOOPBACK
        if capture is None:
            mode = CaptureMode(options.capture) if options.capture else config.snapshot.value.mesh.capture
            in_effect = CaptureMode.NETNS if mode is CaptureMode.AUTO else mode
            capture = Capture(config.heard, config.snapshot, mode, names=names)
        processes = ProcessCapture(registry.discovered, config.snapshot, names, capture.captures)
        capture = Together([capture, processes])
        certify = partial(_certify, options)
        balancers = Balancers(plugins.catalogs.balancers)
        filters = Filters(plugins.catalogs.filters)
        fleet = Fleet(registry.discovered, config.snapshot, capture.captures, hub, names, certify, balancers, filters)
        view = MeshView(options.project, registry.discovered, config.snapshot, capture.captures, config.problems, hub)
        view.publisher = config
        view.processes = Processes(joined, processes)
        sinks = Sinks(hub, lambda name, settings: plugins.catalogs.sinks[name](settings))
        xds = XdsPort(config.snapshot, registry.discovered)
        view.events = lambda: (
            *plugins.problems.value,
            *fleet.planner.egress.problems(),
            *filters.problems(),
            *sinks.problems(),
            *balancers.problems(),
            *found.problems(),
            *mdns.problems(),
            *xds.problems(),
        )
        view.xds = xds.rows
        counting = (filters, found, sinks, balancers, config.kinds)
        view.plugins = lambda: described(plugins, chain.from_iterable(each.failures() for each in counting))
        view.capture = in_effect.value
        view.gateways = fleet.gateways.problems
        rooms.start_soon(mdns.follow, config.snapshot, registry.discovered, fleet.gateways.problems)
        view.ejected = fleet.ejected
        try:
            rooms.start_soon(supervise, "capture", capture.run)
            await _until(capture.captures, lambda captures: _settled(registry.discovered.value, captures))
            # Only now: until every callee is captured, connections wait in the listeners' queues, unharmed.
            await rooms.start(fleet.run)
            view.admin_url = await rooms.start(_serve_admin, view, options)
            mesh = config.snapshot.value.mesh
            if mesh.xds_port:
                view.xds_url = await rooms.start(xds.serve, mesh.xds_host, mesh.xds_port)
            view.ready = True
            rooms.start_soon(supervise, "sinks", partial(sinks.run, config.snapshot))
            task_status.started(view)
            await ending.wait()
        finally:
            with trio.CancelScope(shield=True):
                await capture.rest()
                await fleet.drain()
                await capture.release()
        rooms.cancel_scope.cancel()


def _certify(options: MeshOptions, server: Server) -> Contexts:
    """What a gateway begins TLS with. Imported late: certificates bring 10 MiB along, and few meshes need them."""
    from composemesh.identity.issuer import server_contexts
    from composemesh.identity.store import load_or_create

    now = datetime.now(UTC)
    return server_contexts(load_or_create(options.state, options.project, now), server)


async def _serve_admin(view: MeshView, options: MeshOptions, *, task_status: trio.TaskStatus[str]) -> None:
    mesh = view.snapshot.value.mesh
    host, port = mesh.admin_host, mesh.admin_port
    if options.admin:
        host, port = host_and_port(options.admin, to_listen=True)
    socket = options.state / "admin.sock"
    app = make_app(view, token_in(options.state))
    await serve(app, host=host, port=port, unix_path=socket, task_status=task_status)


async def _until(feed: Latest[T], enough: Callable[[T], bool]) -> None:
    """Wait, within bounds, for a feed's value to be good enough to go on."""
    with trio.move_on_after(SETTLED_WITHIN):
        while not enough(feed.value):
            await feed.after(feed.version)


def _settled(discovered: Discovered, captures: Captures) -> bool:
    """Whether it is known of each workload that its traffic comes to the mesh, or why not."""
    return all(
        workload.life in captures.captured or workload.id in captures.refused for workload in discovered.workloads
    )
