"""The second half of the composition root: what takes traffic, and what tells about it.

`app` imports it beside the loop while Compose and Docker are still being asked: a third of all that a start has to
import stands behind it. Here, too, nothing is decided. On the way out the order matters: new connections go past the
mesh first, then what is in flight drains, and only then do the rules leave the containers, because the kernel forgets
redirected connections together with the last rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import trio

from composemesh.admin import server
from composemesh.admin.api import make_app
from composemesh.admin.mesh_view import MeshView
from composemesh.admin.processes import Processes
from composemesh.admin.token import token_in
from composemesh.capture.doors import ProcessCapture
from composemesh.capture.together import Together
from composemesh.model.snapshot import CaptureMode
from composemesh.plugins import Plugins, described
from composemesh.proxy.balance.making import Balancers
from composemesh.proxy.chain.live import Filters
from composemesh.proxy.fleet import Fleet
from composemesh.runtime.addresses import host_and_port
from composemesh.runtime.captured import Captures
from composemesh.runtime.latest import Latest
from composemesh.runtime.settling import until
from composemesh.runtime.supervise import supervise
from composemesh.telemetry.hub import Hub
from composemesh.telemetry.sinks.running import Sinks
from composemesh.xds.port import XdsPort

if TYPE_CHECKING:
    from composemesh.config.publish import Publisher
    from composemesh.discovery.found import FoundSources
    from composemesh.discovery.joined import Joined
    from composemesh.discovery.mdns.source import MdnsSource
    from composemesh.identity.issuer import Contexts
    from composemesh.model.gateway import Server
    from composemesh.model.workload import Discovered
    from composemesh.routing.names import Names


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
class Known:
    """What a mesh knows before it opens: who runs, and what is configured."""

    project: str
    state: Path
    """The project's state folder."""
    discovered: Latest[Discovered]
    config: Publisher
    plugins: Plugins
    joined: Joined
    found: FoundSources
    mdns: MdnsSource
    names: Names
    admin: str = ""
    """`HOST:PORT`; overrides `x-mesh.admin`, unless empty."""


async def serve(
    known: Known,
    capture: Capturing | CaptureMode,
    rooms: trio.Nursery,
    ending: trio.Event,
    task_status: trio.TaskStatus[MeshView],
) -> None:
    """Take traffic until `ending`, then let go of it in order. Everything runs in `rooms`.

    `capture` is a mode, or what stands in for all of them. `task_status` is told, once the mesh serves, what may be
    asked of it.
    """
    config, discovered, plugins, names = known.config, known.discovered, known.plugins, known.names
    hub = Hub()
    in_effect = CaptureMode.LOOPBACK
    if isinstance(capture, CaptureMode):
        # Late: a mesh of host processes enters no namespace, and answers no DNS. For others `app` has imported it.
        from composemesh.capture.modes import Capture

        in_effect = CaptureMode.NETNS if capture is CaptureMode.AUTO else capture
        capture = Capture(config.heard, config.snapshot, capture, names=names)
    processes = ProcessCapture(discovered, config.snapshot, names, capture.captures)
    capture = Together([capture, processes])
    certify = partial(_certify, known)
    balancers = Balancers(plugins.catalogs.balancers)
    filters = Filters(plugins.catalogs.filters)
    fleet = Fleet(discovered, config.snapshot, capture.captures, hub, names, certify, balancers, filters)
    view = MeshView(known.project, discovered, config.snapshot, capture.captures, config.problems, hub)
    view.publisher = config
    view.processes = Processes(known.joined, processes)
    sinks = Sinks(hub, lambda name, settings: plugins.catalogs.sinks[name](settings))
    xds = XdsPort(config.snapshot, discovered)
    view.events = lambda: (
        *plugins.problems.value,
        *fleet.planner.egress.problems(),
        *filters.problems(),
        *sinks.problems(),
        *balancers.problems(),
        *known.found.problems(),
        *known.mdns.problems(),
        *xds.problems(),
    )
    view.xds = xds.rows
    counting = (filters, known.found, sinks, balancers, config.kinds)
    view.plugins = lambda: described(plugins, chain.from_iterable(each.failures() for each in counting))
    view.capture = in_effect.value
    view.gateways = fleet.gateways.problems
    rooms.start_soon(known.mdns.follow, config.snapshot, discovered, fleet.gateways.problems)
    view.ejected = fleet.ejected
    try:
        rooms.start_soon(supervise, "capture", capture.run)
        await until(capture.captures, lambda captures: _settled(discovered.value, captures))
        # Only now: until every callee is captured, connections wait in the listeners' queues, unharmed.
        await rooms.start(fleet.run)
        view.admin_url = await rooms.start(_serve_admin, view, known)
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


def _certify(known: Known, server: Server) -> Contexts:
    """What a gateway begins TLS with. Imported late: certificates bring 10 MiB along, and few meshes need them."""
    from composemesh.identity.issuer import server_contexts
    from composemesh.identity.store import load_or_create

    now = datetime.now(UTC)
    return server_contexts(load_or_create(known.state, known.project, now), server)


async def _serve_admin(view: MeshView, known: Known, *, task_status: trio.TaskStatus[str]) -> None:
    mesh = view.snapshot.value.mesh
    host, port = mesh.admin_host, mesh.admin_port
    if known.admin:
        host, port = host_and_port(known.admin, to_listen=True)
    socket = known.state / "admin.sock"
    app = make_app(view, token_in(known.state))
    await server.serve(app, host=host, port=port, unix_path=socket, task_status=task_status)


def _settled(discovered: Discovered, captures: Captures) -> bool:
    """Whether it is known of each workload that its traffic comes to the mesh, or why not."""
    return all(
        workload.life in captures.captured or workload.id in captures.refused for workload in discovered.workloads
    )
