"""What an Envoy is started with: who it is and where the mesh tells it the rest; or all of it, as it stands now."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

from composemesh.xds import protos
from composemesh.xds.resources import CLUSTER, ENDPOINT, LISTENER, ROUTE
from composemesh.xds.resources.chains import MANAGER

if TYPE_CHECKING:
    from composemesh.xds.resources import Generated, Node, Resource

Json = dict[str, Any]

SERVER = "xds"
"""The cluster that stands for the mesh itself."""
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
REFRESH = "0.5s"
"""How often a client of REST asks."""
LIVELINESS = {"interval": "10s", "timeout": "3s"}
"""PINGs by which Envoy finds out that the mesh has gone without a word."""
BACK_OFF = {"base_interval": "0.05s", "max_interval": "1s"}
"""Waits before Envoy connects again; its own default begins at half a second, longer than the mesh takes to start."""


class Transport(enum.StrEnum):
    """How an Envoy asks."""

    ADS = "ads"
    """One stream of gRPC for everything, the state of the world in each answer."""
    DELTA = "delta"
    """The same, with differences alone."""
    REST = "rest"
    """A POST for each type, again and again."""


def bootstrap(node: Node, server: tuple[str, int], transport: Transport, admin: tuple[str, int] | None) -> Json:
    """A Bootstrap that takes everything else from the mesh's xDS server, plaintext, at `server`."""
    made = _identity(node, admin)
    made["static_resources"] = {"clusters": [_server(*server, http2=transport is not Transport.REST)]}
    if transport is Transport.REST:
        source = polled(SERVER)
        made["dynamic_resources"] = {"lds_config": source, "cds_config": source}
        return made
    source = {"ads": {}, "resource_api_version": "V3"}
    made["dynamic_resources"] = {
        "lds_config": source,
        "cds_config": source,
        "ads_config": {
            "api_type": "DELTA_GRPC" if transport is Transport.DELTA else "GRPC",
            "transport_api_version": "V3",
            "set_node_on_first_message_only": True,
            "grpc_services": [{"envoy_grpc": {"cluster_name": SERVER, "retry_policy": {"retry_back_off": BACK_OFF}}}],
        },
    }
    return made


def polled(server: str) -> Json:
    """A ConfigSource: ask the cluster `server` again and again."""
    return {
        "resource_api_version": "V3",
        "api_config_source": {
            "api_type": "REST",
            "transport_api_version": "V3",
            "cluster_names": [server],
            "refresh_delay": REFRESH,
            "request_timeout": "2s",
        },
    }


def static(node: Node, generated: Generated, admin: tuple[str, int] | None) -> Json:
    """A Bootstrap that has everything in it and asks nobody: the mesh as it is at this moment."""
    routes = {name: _read(resource) for name, resource in generated[ROUTE].items()}
    endpoints = {name: _read(resource) for name, resource in generated[ENDPOINT].items()}
    made = _identity(node, admin)
    made["static_resources"] = {
        "listeners": [_settled_listener(_read(each), routes) for each in generated[LISTENER].values()],
        "clusters": [_settled_cluster(_read(each), endpoints) for each in generated[CLUSTER].values()],
    }
    return made


def checked(value: Json) -> Any:
    """The same as a message. Raises ParseError where it is none."""
    return protos.parse("envoy.config.bootstrap.v3.Bootstrap", value)


def _identity(node: Node, admin: tuple[str, int] | None) -> Json:
    said: Json = {"id": node.id, "cluster": node.cluster or node.id}
    if node.metadata:
        said["metadata"] = dict(node.metadata)
    made: Json = {"node": said}
    if admin is not None:
        made["admin"] = {"address": _address(*admin)}
    return made


def _server(host: str, port: int, *, http2: bool) -> Json:
    explicit: Json = {"http_protocol_options": {}}
    if http2:
        explicit = {"http2_protocol_options": {"connection_keepalive": LIVELINESS}}
    endpoint = {"endpoint": {"address": _address(host, port)}}
    return {
        "name": SERVER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            HTTP_OPTIONS: {"@type": protos.TYPE_URL + HTTP_OPTIONS, "explicit_http_config": explicit}
        },
        "load_assignment": {"cluster_name": SERVER, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


# === nothing left to ask for ===


def _read(resource: Resource) -> Any:
    carrier = protos.message("google.protobuf.Any").FromString(resource.any_bytes)
    return protos.message(carrier.type_url.removeprefix(protos.TYPE_URL)).FromString(carrier.value)


def _settled_cluster(cluster: Any, endpoints: dict[str, Any]) -> Json:
    if cluster.type == cluster.EDS:
        cluster.type = cluster.STATIC
        cluster.ClearField("eds_cluster_config")
        cluster.load_assignment.CopyFrom(endpoints[cluster.name])
    return protos.as_dict(cluster)


def _settled_listener(listener: Any, routes: dict[str, Any]) -> Json:
    chains = [*listener.filter_chains]
    if listener.HasField("default_filter_chain"):
        chains.append(listener.default_filter_chain)
    for chain in chains:
        for each in chain.filters:
            if each.typed_config.type_url == protos.TYPE_URL + MANAGER:
                manager = protos.message(MANAGER).FromString(each.typed_config.value)
                wanted = routes[manager.rds.route_config_name]
                manager.route_config.CopyFrom(wanted)  # of the same oneof as `rds`, which goes
                each.typed_config.value = manager.SerializeToString(deterministic=True)
    return protos.as_dict(listener)
