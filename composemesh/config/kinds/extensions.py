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


KINDS = (
    Kind("EnvoyFilter", "networking.istio.io", Anything(), versions=("v1alpha3",), instead=_PLUGIN),
    Kind("ProxyConfig", "networking.istio.io", Anything(), versions=("v1beta1",), spec_required=False),
    Kind("WasmPlugin", "extensions.istio.io", Anything(), versions=("v1alpha1",), instead=_PLUGIN),
    Kind("TrafficExtension", "extensions.istio.io", Anything(), versions=("v1alpha1",), instead=_PLUGIN),
    _old("ServiceRole"),
    _old("ServiceRoleBinding"),
    _old("ClusterRbacConfig"),
    _old("RbacConfig"),
    _gateway_api("GatewayClass"),
    _gateway_api("ReferenceGrant"),
    _gateway_api("TCPRoute"),
    _gateway_api("TLSRoute"),
    _gateway_api("UDPRoute"),
    _gateway_api("BackendTLSPolicy"),
)
