"""The composition root: builds every room, opens them in order, and closes them in reverse.

    discovery → what runs ─┬─→ config → what is configured ─┐
                           └──────────────┬─────────────────┴─→ traffic: capture → proxy → telemetry → admin

Nothing here decides anything; it only says who is given what. The right half stands in `traffic`, which is imported
while the left half waits for Compose and Docker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import trio

from composemesh.config.asking import Resolve
from composemesh.config.publish import Publisher
from composemesh.discovery.docker.client import DockerClient
from composemesh.discovery.found import FoundSources
from composemesh.discovery.joined import Joined
from composemesh.discovery.mdns.source import MdnsSource
from composemesh.discovery.registry import Registry, Source
from composemesh.model.problem import Problem
from composemesh.model.snapshot import CaptureMode
from composemesh.plugins import Plugins
from composemesh.routing.names import Names
from composemesh.runtime.settling import until
from composemesh.runtime.supervise import supervise
from composemesh.stack.state import APPLIED

if TYPE_CHECKING:
    from composemesh.admin.mesh_view import MeshView
    from composemesh.traffic import Capturing


class Rejected(Exception):
    """The first configuration is wrong, and there is no older one to serve with."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


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
        # Compose and Docker answer at the same time, and meanwhile there is a processor to import with.
        await rooms.start(config.ask_early)
        importing = partial(_import_traffic, namespaces=capture is None)
        rooms.start_soon(trio.to_thread.run_sync, importing)
        rooms.start_soon(registry.run, [*sources, joined, mdns, found])
        await plugins.load_installed()
        await until(registry.discovered, lambda discovered: not discovered.trouble)
        await config.load()
        if config.rejection and options.initial_check:
            raise Rejected(config.rejection)
        overrides = {"capture": options.capture, "admin": options.admin}
        config.hold(*(word for word, given in overrides.items() if not given), "xds")
        rooms.start_soon(supervise, "config", config.run)
        rooms.start_soon(found.follow, config.snapshot, registry.discovered)

        mode = CaptureMode(options.capture) if options.capture else config.snapshot.value.mesh.capture
        traffic = await trio.to_thread.run_sync(importing)  # waits for the other one there, and not on the loop
        known = traffic.Known(
            options.project,
            options.state,
            registry.discovered,
            config,
            plugins,
            joined,
            found,
            mdns,
            names,
            options.admin,
        )
        await traffic.serve(known, capture or mode, rooms, ending, task_status)
        rooms.cancel_scope.cancel()


def _import_traffic(*, namespaces: bool) -> ModuleType:
    """Late: before it is known who runs, nothing of it is needed, and it is a third of all that a start imports.

    `namespaces`: whether any will be entered, which brings a DNS server along.
    """
    from composemesh import traffic

    if namespaces:
        import_module("composemesh.capture.modes")
    return traffic
