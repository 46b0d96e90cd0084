"""What the mesh looks like, once a second and once for all who watch: whole for who has just come, else what changed.

Nothing runs while nobody watches. Whoever is first to look in a second takes the sample, the others find it there,
and its text is made once. It is taken in pieces, between which requests pass. A sample that took long is followed by
a longer pause, so that watching never costs more than a fiftieth of a core, however large the mesh.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import trio

from composemesh.admin.turns import in_turns

if TYPE_CHECKING:
    from composemesh.admin.mesh_view import MeshView
    from composemesh.admin.views import Json

LOOK = 1.0
"""Seconds between two looks at what has changed."""
SHARE = 0.02
"""Of the time, that looking may take."""
MOST_KEPT = 8
"""Windows that are looked through at a time; watchers of others take samples of their own."""


class Sample:
    """The mesh at one moment."""

    def __init__(self, before: Sample | None, status: Json, graph: Json) -> None:
        self.values = {"status": status, "graph": graph}
        self.due = 0.0
        """When the next one may be taken, in trio's time."""
        self._before = before
        self._texts: dict[tuple[str, str], str] = {}
        if before is not None:
            before._before = None  # else every sample ever taken stays in memory

    def since(self, known: Sample | None, changes: bool) -> str:
        """The events for a watcher that knows one sample; `changes`: in parts, where that can be. May be empty."""
        names = ("status", "graph")
        if known is None:
            return "".join(self._whole(name) for name in names)
        changed = [name for name in names if known.values[name] != self.values[name]]
        if changes and known is self._before:
            return "".join(self._changes(name, known) for name in changed)
        return "".join(self._whole(name) for name in changed)

    def _whole(self, name: str) -> str:
        return self._text("whole", name, lambda: event(name, self.values[name]))

    def _changes(self, name: str, before: Sample) -> str:
        make = status_changes if name == "status" else graph_changes
        return self._text(
            "changes", name, lambda: event(f"{name}-changes", make(before.values[name], self.values[name]))
        )

    def _text(self, form: str, name: str, make: Callable[[], str]) -> str:
        if (form, name) not in self._texts:
            self._texts[form, name] = make()
        return self._texts[form, name]


class Sampler:
    """Takes the samples, for every window that somebody watches."""

    def __init__(self, mesh: MeshView) -> None:
        self._mesh = mesh
        self._newest: dict[int | None, Sample] = {}
        self._taking = trio.Lock()

    async def look(self, window: int | None) -> Sample:
        """The newest sample; takes it where it is due. Cancelled, the next one to look takes it."""
        async with self._taking:
            now = trio.current_time()
            before = self._newest.get(window)
            if before is not None and now < before.due:
                return before
            began = time.thread_time()
            status = await in_turns(self._mesh.status_in_pieces())
            graph = await in_turns(self._mesh.graph_in_pieces(window))
            sample = Sample(before, status, graph)
            took = time.thread_time() - began
            sample.due = max((math.floor(now / LOOK) + 1) * LOOK, now + took / SHARE)
            self._newest.pop(window, None)
            self._newest[window] = sample
            if len(self._newest) > MOST_KEPT:
                del self._newest[next(iter(self._newest))]
            return sample


def status_changes(before: Json, after: Json) -> Json:
    """The fields that are others now; of the services those that are new or changed, and the names of those gone."""
    changes = {name: value for name, value in after.items() if name != "services" and before.get(name) != value}
    changed, gone = _items(before["services"], after["services"], lambda one: one["name"])
    return {**changes, "services": changed, "gone": {"services": gone}}


def graph_changes(before: Json, after: Json) -> Json:
    """Nodes and edges that are new or changed, and the ids of those gone; an edge's are its ends and its protocol."""
    nodes, gone_nodes = _items(before["nodes"], after["nodes"], lambda one: one["id"])
    edges, gone_edges = _items(before["edges"], after["edges"], edge_key)
    gone = {"nodes": gone_nodes, "edges": gone_edges}
    return {**after, "nodes": nodes, "edges": edges, "gone": gone}


def edge_key(edge: Json) -> str:
    return f"{edge['source']} {edge['destination']} {edge['protocol']}"


def event(name: str, value: Json) -> str:
    """One server-sent event."""
    return f"event: {name}\ndata: {json.dumps(value, ensure_ascii=False)}\n\n"


def _items(before: Iterable[Json], after: Sequence[Json], key: Callable[[Json], str]) -> tuple[list[Json], list[str]]:
    known = {key(one): one for one in before}
    changed = [one for one in after if known.get(key(one)) != one]
    return changed, sorted(known.keys() - {key(one) for one in after})
