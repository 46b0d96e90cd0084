"""What the xDS server says: pure functions from the snapshot, what runs, and who asks, to resources.

Read it from the bottom; a file imports only what stands below it.

    redirected       LDS: of an Envoy that its caller's connections are redirected to, one listener a port
    api              LDS: of a caller that needs no proxy
    listeners        LDS: of a proxy that stands before a caller
    routes           RDS: virtual hosts and their routes; `actions` says one rule
    paths            rewrites and redirects; `headers` header operations, `retries` when a request is sent again
    hashes           what of a request a consistent hash is made of
    clusters         CDS, with `policy`; `endpoints` EDS
    chains           what a listener does with a connection: take requests out of it, or pass it on as it is
    filters          faults and CORS; `match` what a rule asks of a request
    callees          whom a caller may mean, at which port, and by which names
    making           one generation under way: which clusters are asked for, what can't be said
    view             what this caller reaches
    node             who asks; `resource` what is handed out
    units            how JSON writes what has a unit
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from composemesh.model.snapshot import Protocol
from composemesh.xds.resources import api, clusters, endpoints, listeners, redirected
from composemesh.xds.resources.callees import callees
from composemesh.xds.resources.making import Making
from composemesh.xds.resources.node import Node
from composemesh.xds.resources.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, Generated, Resource
from composemesh.xds.resources.routes import configuration
from composemesh.xds.resources.view import View

if TYPE_CHECKING:
    from composemesh.model.snapshot import Snapshot
    from composemesh.model.workload import Discovered
    from composemesh.xds.resources.view import Place

__all__ = ["CLUSTER", "ENDPOINT", "LISTENER", "ROUTE", "Generated", "Node", "Resource", "generate"]


def _ways(making: Making) -> tuple[dict[str, Resource], dict[str, Resource]]:
    """LDS and RDS, as this kind of client wants them; they ask for the clusters that they lead to."""
    meant = callees(making)
    if making.node.proxyless:
        return api.generate(making, meant)
    if making.node.redirected:
        return redirected.generate(making, meant)
    routes = {
        each.listener: configuration(making, each)
        for each in meant
        if each.protocol is not Protocol.TCP and not each.name.startswith("*")
    }
    return listeners.generate(making, meant), routes


class Memory(NamedTuple):
    """What a generation leaves for the next one."""

    snapshot: Snapshot
    node: Node
    shape: object
    table: Any
    live: dict[str, Place]
    endpoints: endpoints.Known


def generate(
    snapshot: Snapshot,
    discovered: Discovered,
    node: Node,
    before: Generated | None = None,
    like: Generated | None = None,
) -> Generated:
    """All resources of one client, by type URL and name.

    With the generation `before` it, only what may have changed is made: while the configuration is the same, and no
    service comes, goes, or gets another port or name, that is the endpoints alone. With `like`, made of the same for
    a client that differs from this one in its own addresses alone, that is the listeners at most.
    """
    if like is not None:
        return _elsewhere(snapshot, discovered, node, before, like)
    memory: Memory | None = None if before is None else before.memory
    if memory is not None and memory.snapshot is not snapshot:
        memory = None
    view = View(snapshot, discovered, node, None if memory is None else memory.table)
    shape = view.shape
    making = Making(view, node)
    if before is not None and memory is not None and memory.node == node and memory.shape == shape:
        known = endpoints.generate(making, memory.live, memory.endpoints)
        found = Generated(before)
        found.problems = before.problems
        live = memory.live
    else:
        clusters.want_all(making)
        entrances, routes = _ways(making)
        made, live = clusters.generate(making)
        known = endpoints.generate(making, live, {} if before is None else before.memory.endpoints)
        found = Generated({CLUSTER: made, LISTENER: entrances, ROUTE: routes})
        found.problems = making.problems
    found[ENDPOINT] = {name: resource for name, (_, resource) in known.items()}
    found.memory = Memory(snapshot, node, shape, view.table, live, known)
    return found


def _elsewhere(
    snapshot: Snapshot, discovered: Discovered, node: Node, before: Generated | None, like: Generated
) -> Generated:
    """What another client is told, with listeners at this one's addresses."""
    found = Generated(like)
    found.problems = like.problems
    found.memory = like.memory._replace(node=node)
    if before is not None and before.memory.snapshot is snapshot and before.memory.shape == like.memory.shape:
        found[LISTENER] = before[LISTENER]
    else:
        making = Making(View(snapshot, discovered, node, like.memory.table), node)
        found[LISTENER] = listeners.generate(making, callees(making))
        found.problems = tuple(dict.fromkeys((*like.problems, *making.problems)))
    return found
