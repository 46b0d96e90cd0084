"""The kinds of resources. To add one is a file here, and a line in `BUILT_IN`.

Reading order: `resource` one document · `kind` what a kind is · `common` fields that several have · `http_match`,
`http_fields` → `http_route` and `traffic_fields` → `traffic_policy` the two large messages · a file for each kind ·
`delegation` rules that lead to others · `reference` the tables of the docs.

A kind's tables take milliseconds to build, and most meshes name two kinds or none: each is imported when the first
document of it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from composemesh.catalog import Catalog
from composemesh.runtime.failures import Failures

if TYPE_CHECKING:
    from composemesh.config.kinds.kind import Kind

__all__ = ["BUILT_IN", "KINDS", "Kinds"]

BUILT_IN: Mapping[str, str] = {
    "networking.istio.io/VirtualService": "virtual_service:KIND",
    "networking.istio.io/DestinationRule": "destination_rule:KIND",
    "networking.istio.io/ServiceEntry": "service_entry:KIND",
    "networking.istio.io/WorkloadEntry": "workload_entry:KIND",
    "networking.istio.io/WorkloadGroup": "workload_group:KIND",
    "networking.istio.io/Sidecar": "sidecar:KIND",
    "networking.istio.io/Gateway": "gateway:KIND",
    "security.istio.io/AuthorizationPolicy": "authorization_policy:KIND",
    "security.istio.io/PeerAuthentication": "peer_authentication:KIND",
    "security.istio.io/RequestAuthentication": "request_authentication:KIND",
    "telemetry.istio.io/Telemetry": "telemetry:KIND",
    "networking.istio.io/EnvoyFilter": "not_carried_out:ENVOY_FILTER",
    "networking.istio.io/ProxyConfig": "not_carried_out:PROXY_CONFIG",
    "extensions.istio.io/WasmPlugin": "not_carried_out:WASM_PLUGIN",
    "extensions.istio.io/TrafficExtension": "not_carried_out:TRAFFIC_EXTENSION",
    "rbac.istio.io/ServiceRole": "not_carried_out:SERVICE_ROLE",
    "rbac.istio.io/ServiceRoleBinding": "not_carried_out:SERVICE_ROLE_BINDING",
    "rbac.istio.io/ClusterRbacConfig": "not_carried_out:CLUSTER_RBAC_CONFIG",
    "rbac.istio.io/RbacConfig": "not_carried_out:RBAC_CONFIG",
    "gateway.networking.k8s.io/GatewayClass": "not_carried_out:GATEWAY_CLASS",
    "gateway.networking.k8s.io/ReferenceGrant": "not_carried_out:REFERENCE_GRANT",
    "gateway.networking.k8s.io/TCPRoute": "not_carried_out:TCP_ROUTE",
    "gateway.networking.k8s.io/TLSRoute": "not_carried_out:TLS_ROUTE",
    "gateway.networking.k8s.io/UDPRoute": "not_carried_out:UDP_ROUTE",
    "gateway.networking.k8s.io/BackendTLSPolicy": "not_carried_out:BACKEND_TLS_POLICY",
    "gateway.networking.k8s.io/HTTPRoute": "gateway_api.http_route:KIND",
    "gateway.networking.k8s.io/GRPCRoute": "gateway_api.grpc_route:KIND",
    "gateway.networking.k8s.io/Gateway": "gateway_api.gateway:KIND",
}
"""Those of Istio and of the Gateway API by group and name, in the order of the reference; paths in this folder."""


class Kinds:
    """The kinds that documents may be of: a catalog, asked by group and name. It may grow while it is in use."""

    def __init__(self, catalog: Catalog[Any]) -> None:
        """`catalog` has them by `GROUP/NAME`."""
        self._catalog = catalog
        self._failures: dict[str, Failures] = {}

    def __repr__(self) -> str:
        return f"<Kinds {len(self._catalog)}>"

    def __len__(self) -> int:
        return len(self._catalog)

    def __iter__(self) -> Iterator[Kind]:
        """All of them, loaded."""
        for key in self._catalog:
            yield self._catalog[key]

    def __contains__(self, key: tuple[str, str]) -> bool:
        return f"{key[0]}/{key[1]}" in self._catalog

    def __getitem__(self, key: tuple[str, str]) -> Kind:
        """By group and name. Raises KeyError, and what the kind's own module raises."""
        kind: Kind = self._catalog[f"{key[0]}/{key[1]}"]
        return kind

    def failures_of(self, group: str, name: str) -> Failures | None:
        """Where to count what a plugin's kind does wrong; None for one of ours."""
        key = f"{group}/{name}"
        return None if key in BUILT_IN else self._failures.setdefault(key, Failures("kind", key))

    def failures(self) -> Iterator[Failures]:
        """What plugins' kinds did wrong so far."""
        yield from list(self._failures.values())

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(key.rpartition("/")[0] for key in self._catalog))

    @property
    def names(self) -> tuple[str, ...]:
        """Every name once, whatever its group."""
        return tuple(dict.fromkeys(key.rpartition("/")[2] for key in self._catalog))

    def names_in(self, group: str) -> list[str]:
        return [name for said, _, name in (key.rpartition("/") for key in self._catalog) if said == group]

    def called(self, name: str) -> list[Kind]:
        """Those of one name, in any group."""
        return [self._catalog[key] for key in self._catalog if key.rpartition("/")[2] == name]


def built_in() -> Catalog[Any]:
    """The built-in kinds alone."""
    catalog: Catalog[Any] = Catalog("kind")
    for name, where in BUILT_IN.items():
        catalog.add(name, f"{__name__}.{where}", "composemesh")
    return catalog


KINDS = Kinds(built_in())
"""What documents may be of where there are no plugins."""
