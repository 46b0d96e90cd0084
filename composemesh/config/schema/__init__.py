"""What `x-mesh` may say: two tables of keys. A test sees to it that docs/reference/x-mesh.md has the same ones.

To add a key is one line here, and one in `compile` that carries it out.

`reading` is what a reading leaves behind. `x-mesh` is made of `shapes`, with `leaves` for single values; `short`,
`forms`, `filters` and `named` are keys that need more. Istio's documents and plugins' `settings` are made of
`messages`, tables of `fields`, with `scalars` and `network` for single values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from composemesh.catalog import Catalogs
from composemesh.config.schema import short
from composemesh.config.schema.filters import FilterList, known
from composemesh.config.schema.forms import Each, Whole
from composemesh.config.schema.leaves import Address, Choice, Name, Network, Pattern, Port
from composemesh.config.schema.named import Named
from composemesh.config.schema.reading import Finding, Reading
from composemesh.config.schema.scalars import Duration, Flag, Text
from composemesh.config.schema.shapes import Key, Later, ListOf, Object, PortTable, Shape, Switched
from composemesh.model.snapshot import AccessLog, CaptureMode, Egress, Protocol

__all__ = [
    "MESH",
    "SERVICE",
    "Finding",
    "Key",
    "Later",
    "Object",
    "Reading",
    "Shape",
    "Switched",
    "json_schema",
    "read",
]

DISCOVERY = Named("source", elsewhere=("docker", "static"), ours={"mdns": short.MDNS})
EXCLUDE = Object(
    {
        "ports": Key(ListOf(Port()), "TCP ports of the destination that capture leaves alone.", "[]"),
        "cidrs": Key(ListOf(Network()), "Networks of the other side that capture leaves alone.", "[]"),
    }
)

MESH = Object(
    {
        "capture": Key(Choice(CaptureMode, later=("hosts",)), "How traffic reaches the mesh.", "auto"),
        "exclude": Key(EXCLUDE, "Traffic of every service that capture leaves alone, in both directions."),
        "admin": Key(Address(), "Where the admin API and the metrics listen.", "127.0.0.1:15000"),
        "xds": Key(
            Address(usual=15010, off=True), "Where Envoys and gRPC clients get the configuration.", "127.0.0.1:15010"
        ),
        "access_log": Key(Choice(AccessLog), "A line for each request.", "off"),
        "sinks": Key(Whole(Named("sink", elsewhere=("access_log",))), "Who else is told of each request, by name."),
        "egress": Key(Choice(Egress), "Whether services may call hosts that nobody declared.", "allow"),
        "listeners": Key(Whole(short.LISTENERS), "What each listener takes before it says no."),
        "resources": Key(ListOf(Pattern()), "Files of Istio documents, relative to the first Compose file.", "[]"),
        "gateways": Key(Whole(short.GATEWAYS), "Ways into the mesh from outside, by name."),
        "external": Key(Whole(short.EXTERNALS), "Hosts outside the project that services call."),
        "discovery": Key(Whole(DISCOVERY), "What is found besides containers, by the name of who finds it."),
        "publish": Key(Whole(short.PUBLISH), "Every service is announced to others."),
        "mtls": Key(Later(), "Encryption and identity between workloads."),
        "tracing": Key(Later(), "Where spans are sent."),
        "filters": Key(FilterList(), "What every request goes through, before any rule; in this order.", "[]"),
        "plugins": Key(
            Each(Text()), "Files of Python that extend the mesh, relative to the first Compose file.", "[]"
        ),
    }
)

SERVICE = Switched(
    Object(
        {
            "service": Key(Name(), "The name that callers use; Compose services that share it are one mesh service."),
            "version": Key(Name(), "The version of this Compose service's workloads."),
            "ports": Key(PortTable(Choice(Protocol)), "What each port speaks, where the first bytes would not tell."),
            "exclude": Key(EXCLUDE, "Traffic of this Compose service that capture leaves alone, in both directions."),
            "proxy_protocol": Key(Whole(Flag()), "Callers from outside the mesh introduce their clients.", "false"),
            "expose": Key(Whole(short.EXPOSE), "A gateway's route to this service."),
            "routes": Key(Each(short.ROUTE), "What becomes of requests to this service; the first match decides."),
            "timeout": Key(Whole(Duration(zero=True)), "For a request, retries included; where no route says it."),
            "retries": Key(Whole(short.RETRIES), "When a request is tried again; where no route says it."),
            "filters": Key(FilterList(), "What each request to this service goes through; in this order.", "[]"),
            "load_balancer": Key(Whole(short.LOAD_BALANCER), "How an endpoint is picked.", "least_request"),
            "connections": Key(Whole(short.CONNECTIONS), "How many connections and requests there may be."),
            "outlier_detection": Key(Whole(short.OUTLIER_DETECTION), "When an endpoint that fails is left out."),
            "publish": Key(Whole(short.PUBLISH), "The service is announced to others."),
            "health_check": Key(Later(), "A request that asks an endpoint for its health."),
            "rate_limit": Key(Later(), "How many requests a caller may make."),
            "allow": Key(Later(), "Who may call."),
            "jwt": Key(Later(), "Which tokens callers must show."),
        }
    )
)


def json_schema(catalogs: Catalogs | None = None) -> dict[str, Any]:
    """The JSON Schema of `x-mesh` in a Compose file, for editors: made of the tables that read it.

    With `catalogs`, also of the filters that there are.
    """
    mesh, of_service = MESH.schema(), SERVICE.schema()
    if catalogs is not None:
        for block in (mesh, of_service["anyOf"][1]):
            known(block["properties"]["filters"], catalogs)
    service = {"type": ["object", "null"], "properties": {"x-mesh": of_service}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "x-mesh in a Compose file",
        "type": "object",
        "properties": {
            "x-mesh": mesh,
            "services": {"type": ["object", "null"], "additionalProperties": service},
        },
    }


def read(shape: Shape, value: Any, catalogs: Catalogs | None = None, folder: Path | None = None) -> Reading:
    """Everything that a value of `x-mesh` says, and everything wrong with it.

    `catalogs`: what can be named in it; `folder`: where its paths begin.
    """
    reading = Reading(folder=folder) if catalogs is None else Reading(catalogs=catalogs, folder=folder)
    shape.read((), value, reading)
    return reading
