"""The kinds of resources. To add one is a file here, and a line in `KINDS`."""

from __future__ import annotations

from composemesh.config.kinds.kind import Kind
from composemesh.config.kinds.resource import Resource, ResourceKey

__all__ = ["BY_NAME", "KINDS", "Kind", "Resource", "ResourceKey"]

SECURITY = ("v1beta1", "v1")
GATEWAY_API = ("v1alpha2", "v1beta1", "v1")

KINDS: tuple[Kind, ...] = (
    Kind("VirtualService", "networking.istio.io"),
    Kind("DestinationRule", "networking.istio.io"),
    Kind("ServiceEntry", "networking.istio.io"),
    Kind("WorkloadEntry", "networking.istio.io"),
    Kind("WorkloadGroup", "networking.istio.io"),
    Kind("Sidecar", "networking.istio.io"),
    Kind("Gateway", "networking.istio.io"),
    Kind("EnvoyFilter", "networking.istio.io", ("v1alpha3",)),
    Kind("ProxyConfig", "networking.istio.io", ("v1beta1",)),
    Kind("AuthorizationPolicy", "security.istio.io", SECURITY),
    Kind("PeerAuthentication", "security.istio.io", SECURITY),
    Kind("RequestAuthentication", "security.istio.io", SECURITY),
    Kind("Telemetry", "telemetry.istio.io", ("v1alpha1", "v1")),
    Kind("WasmPlugin", "extensions.istio.io", ("v1alpha1",)),
    Kind("TrafficExtension", "extensions.istio.io", ("v1alpha1",)),
    Kind("ServiceRole", "rbac.istio.io", ("v1alpha1",)),
    Kind("ServiceRoleBinding", "rbac.istio.io", ("v1alpha1",)),
    Kind("ClusterRbacConfig", "rbac.istio.io", ("v1alpha1",)),
    Kind("RbacConfig", "rbac.istio.io", ("v1alpha1",)),
    Kind("HTTPRoute", "gateway.networking.k8s.io", GATEWAY_API),
    Kind("GRPCRoute", "gateway.networking.k8s.io", GATEWAY_API),
    Kind("Gateway", "gateway.networking.k8s.io", GATEWAY_API),
)

BY_NAME = {(kind.group, kind.name): kind for kind in KINDS}
