"""The kinds of resources. To add one is a file here, and a line in `KINDS`.

Reading order: `resource` one document · `kind` what a kind is · `common` fields that several have · `http_match`,
`http_fields` → `http_route` and `traffic_fields` → `traffic_policy` the two large messages · a file for each kind ·
`delegation` rules that lead to others · `reference` the tables of the docs.
"""

from __future__ import annotations

from composemesh.config.kinds import (
    authorization_policy,
    destination_rule,
    extensions,
    gateway,
    peer_authentication,
    request_authentication,
    service_entry,
    sidecar,
    telemetry,
    virtual_service,
    workload_entry,
    workload_group,
)
from composemesh.config.kinds.gateway_api import gateway as k8s_gateway
from composemesh.config.kinds.gateway_api import grpc_route as k8s_grpc_route
from composemesh.config.kinds.gateway_api import http_route as k8s_http_route
from composemesh.config.kinds.kind import Context, Draft, Kind
from composemesh.config.kinds.resource import Resource, ResourceKey

__all__ = ["BY_NAME", "KINDS", "Context", "Draft", "Kind", "Resource", "ResourceKey"]

KINDS: tuple[Kind, ...] = (
    virtual_service.KIND,
    destination_rule.KIND,
    service_entry.KIND,
    workload_entry.KIND,
    workload_group.KIND,
    sidecar.KIND,
    gateway.KIND,
    authorization_policy.KIND,
    peer_authentication.KIND,
    request_authentication.KIND,
    telemetry.KIND,
    *extensions.KINDS,
    k8s_http_route.KIND,
    k8s_grpc_route.KIND,
    k8s_gateway.KIND,
)

BY_NAME = {(kind.group, kind.name): kind for kind in KINDS}
