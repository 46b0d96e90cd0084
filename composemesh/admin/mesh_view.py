"""The mesh as it is now: the live values, and the three answers that everybody asks for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from composemesh import __version__
from composemesh.admin import graph_views, views
from composemesh.admin.processes import Processes
from composemesh.admin.turns import Pieces, at_once
from composemesh.admin.views import Ejected, Json
from composemesh.config.publish import Publisher
from composemesh.model.problem import Problem
from composemesh.model.snapshot import Snapshot
from composemesh.model.workload import Discovered
from composemesh.routing.explain import Question, explain
from composemesh.runtime.captured import Captures
from composemesh.runtime.latest import Latest
from composemesh.telemetry.hub import Hub
from composemesh.telemetry.window import LONGEST


def nobody(_service: str, _life: tuple[str, str]) -> float:
    """Until there is a proxy, nobody is left out."""
    return 0.0


@dataclass(eq=False, slots=True)
class MeshView:
    """Reads only. The composition root fills it, and sets the last fields as it learns them."""

    project: str
    discovered: Latest[Discovered]
    snapshot: Latest[Snapshot]
    captures: Latest[Captures]
    problems: Latest[tuple[Problem, ...]]
    hub: Hub = field(default_factory=Hub)
    gateways: Latest[tuple[Problem, ...]] = field(default_factory=lambda: Latest(()))
    """What is wrong with ports and certificates of gateways, at this moment."""
    events: Callable[[], Iterable[Problem]] = tuple
    """What went wrong lately with no document to blame: calls that were refused. Shown among the problems."""
    publisher: Publisher | None = None
    """What the resources of the mesh are asked of, and changed by; None where nothing can be changed."""
    processes: Processes | None = None
    """How processes of this host join; None where they can't."""
    admin_url: str = ""
    """Where `serve` came to listen, e.g. `http://127.0.0.1:15000`."""
    xds_url: str = ""
    """Where Envoys and gRPC clients get the configuration, e.g. `http://127.0.0.1:15010`; empty where they don't."""
    plugins: Callable[[], list[Json]] = list
    """All that can be named in the configuration, and who brought it along."""
    xds: Callable[[], list[Json]] = list
    """What each of those clients has."""
    capture: str = ""
    """The mode in effect; until it is known, the mode that was asked for."""
    ejected: Ejected = nobody
    """Who is left out, and for how long."""
    ready: bool = False
    """Whether every workload that can be captured has been, once: /healthz/ready."""

    def status(self) -> Json:
        """The shape `status`: state, services with workloads and rates, problems."""
        return at_once(self.status_in_pieces())

    def status_in_pieces(self) -> Pieces[Json]:
        """The same, as `graph_in_pieces`."""
        return views.status(
            project=self.project,
            version=__version__,
            pid=os.getpid(),
            state="serving" if self.ready else "starting",
            admin_url=self.admin_url,
            xds_url=self.xds_url,
            xds=self.xds(),
            capture=self.capture or self.snapshot.value.mesh.capture.value,
            discovered=self.discovered.value,
            snapshot=self.snapshot.value,
            captures=self.captures.value,
            problems=(*self.problems.value, *self.gateways.value, *self.events()),
            hub=self.hub,
            ejected=self.ejected,
            revision=self.publisher.revision if self.publisher is not None else 0,
        )

    def explain(self, question: Question) -> Json:
        """The shape `explain`. Raises ValueError for what is no URL."""
        return explain(self.snapshot.value, self.discovered.value, question)

    def services(self) -> list[Json]:
        """The `services` of the status, alone."""
        return at_once(self.services_in_pieces())

    def services_in_pieces(self) -> Pieces[list[Json]]:
        """The same, as `graph_in_pieces`."""
        return views.services(self.discovered.value, self.snapshot.value, self.captures.value, self.hub, self.ejected)

    def graph(self, window: float | None = 60.0) -> Json:
        """The shape `graph` over the last `window` seconds, an hour at most; None: since the start."""
        return at_once(self.graph_in_pieces(window))

    def graph_in_pieces(self, window: float | None) -> Pieces[Json]:
        """The same for whoever must not hold up the loop: a thousand edges take a while."""
        running = {
            (settings.service, settings.version)
            for workload in self.discovered.value.workloads
            for settings in (self.snapshot.value.settings_of(workload),)
        }
        seconds = None if window is None else min(max(int(window), 1), LONGEST)
        return graph_views.graph(self.hub, seconds, running)
