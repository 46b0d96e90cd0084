"""LDS of proxyless gRPC: a listener named like the target that an application dials, `xds:///reviews:9080`.

gRPC matches virtual hosts against the target, asks for each resource by name, and refuses a listener with a filter
that it does not know: there are only faults and the router.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from composemesh.model.snapshot import Protocol
from composemesh.xds import protos
from composemesh.xds.resources.chains import MANAGER, http_filter
from composemesh.xds.resources.filters import FAULT
from composemesh.xds.resources.listeners import LISTENER
from composemesh.xds.resources.resource import Resource, pack, packed
from composemesh.xds.resources.routes import configuration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from composemesh.xds.resources.callees import Callee
    from composemesh.xds.resources.making import Making


def generate(making: Making, callees: Iterable[Callee]) -> tuple[dict[str, Resource], dict[str, Resource]]:
    """The listeners, and the route configurations that they ask for.

    A callee with one port is also found without it: `xds:///reviews`.
    """
    listeners: dict[str, Resource] = {}
    routes: dict[str, Resource] = {}
    ports: dict[str, int] = {}
    meant = [
        part
        for each in callees
        if each.protocol is not Protocol.TCP
        for part in (each._replace(parts=()), *each.parts)
    ]
    for callee in meant:
        ports[callee.name] = ports.get(callee.name, 0) + 1
    for callee in meant:
        if callee.name.startswith("*"):
            making.cannot(f"the pattern {callee.name}: it dials names", callee.listener)
            continue
        routes[callee.listener] = configuration(making, callee)
        targets = [callee.listener, *([callee.name] if ports[callee.name] == 1 else [])]
        for target in targets:
            listeners[target] = packed(_listener(target, callee.listener), target)
    return listeners, routes


def _listener(target: str, routes: str) -> Any:
    manager = protos.message(MANAGER)()
    manager.CopyFrom(_manager())
    manager.rds.route_config_name = routes
    made = protos.message(LISTENER)()
    made.name = target
    pack(made.api_listener.api_listener, manager)
    return made


@cache
def _manager() -> Any:
    filters = [http_filter(FAULT, "fault.v3.HTTPFault"), http_filter("envoy.filters.http.router", "router.v3.Router")]
    source = {"ads": {}, "resource_api_version": "V3"}
    return protos.parse(
        MANAGER,
        {"stat_prefix": "grpc", "rds": {"config_source": source, "route_config_name": "-"}, "http_filters": filters},
    )
