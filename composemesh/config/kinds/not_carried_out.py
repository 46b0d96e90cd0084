"""Kinds that reach into Envoy or Kubernetes, and Istio's authorization of 2018: known by name, not carried out."""

from __future__ import annotations

from composemesh.config.kinds.kind import Kind
from composemesh.config.schema.messages import Anything

_OLD = "Write an AuthorizationPolicy (security.istio.io/v1), which has taken its place."
_PLUGIN = "A plugin of the mesh is written in Python."


def _old(name: str) -> Kind:
    return Kind(name, "rbac.istio.io", Anything(), versions=("v1alpha1",), instead=_OLD, spec_required=False)


def _gateway_api(name: str) -> Kind:
    versions = ("v1alpha2", "v1alpha3", "v1beta1", "v1")
    return Kind(name, "gateway.networking.k8s.io", Anything(), versions=versions, spec_required=False)


ENVOY_FILTER = Kind("EnvoyFilter", "networking.istio.io", Anything(), versions=("v1alpha3",), instead=_PLUGIN)
PROXY_CONFIG = Kind("ProxyConfig", "networking.istio.io", Anything(), versions=("v1beta1",), spec_required=False)
WASM_PLUGIN = Kind("WasmPlugin", "extensions.istio.io", Anything(), versions=("v1alpha1",), instead=_PLUGIN)
TRAFFIC_EXTENSION = Kind(
    "TrafficExtension", "extensions.istio.io", Anything(), versions=("v1alpha1",), instead=_PLUGIN
)
SERVICE_ROLE = _old("ServiceRole")
SERVICE_ROLE_BINDING = _old("ServiceRoleBinding")
CLUSTER_RBAC_CONFIG = _old("ClusterRbacConfig")
RBAC_CONFIG = _old("RbacConfig")
GATEWAY_CLASS = _gateway_api("GatewayClass")
REFERENCE_GRANT = _gateway_api("ReferenceGrant")
TCP_ROUTE = _gateway_api("TCPRoute")
TLS_ROUTE = _gateway_api("TLSRoute")
UDP_ROUTE = _gateway_api("UDPRoute")
BACKEND_TLS_POLICY = _gateway_api("BackendTLSPolicy")
