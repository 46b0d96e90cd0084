"""Descriptors of Envoy's messages, out of xds-protos."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from build_steps.step import Step, replace

DESCRIPTORS = "composemesh/xds/protos/envoy.binpb"
ROOTS = """
    envoy/admin/v3/config_dump envoy/config/bootstrap/v3/bootstrap envoy/config/cluster/v3/cluster
    envoy/config/endpoint/v3/endpoint envoy/config/listener/v3/listener envoy/config/route/v3/route
    envoy/extensions/access_loggers/file/v3/file envoy/extensions/access_loggers/stream/v3/stream
    envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster
    envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache
    envoy/extensions/filters/common/fault/v3/fault envoy/extensions/filters/http/cors/v3/cors
    envoy/extensions/filters/http/fault/v3/fault envoy/extensions/filters/http/grpc_web/v3/grpc_web
    envoy/extensions/filters/http/jwt_authn/v3/config
    envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit envoy/extensions/filters/http/rbac/v3/rbac
    envoy/extensions/filters/http/router/v3/router
    envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy
    envoy/extensions/filters/listener/http_inspector/v3/http_inspector
    envoy/extensions/filters/listener/original_dst/v3/original_dst
    envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector
    envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager
    envoy/extensions/filters/network/rbac/v3/rbac envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy
    envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash
    envoy/extensions/load_balancing_policies/maglev/v3/maglev
    envoy/extensions/retry/host/previous_hosts/v3/previous_hosts
    envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol
    envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer envoy/extensions/transport_sockets/tls/v3/tls
    envoy/extensions/upstreams/http/v3/http_protocol_options
    envoy/service/cluster/v3/cds envoy/service/discovery/v3/ads envoy/service/discovery/v3/discovery
    envoy/service/load_stats/v3/lrs envoy/service/status/v3/csds envoy/type/matcher/v3/metadata
"""
"""The `.proto` files that composemesh.xds names a message of; what these import comes along."""


def write(root: Path) -> None:
    """Collects ROOTS and all that they import into one FileDescriptorSet, a file after those that it imports.

    Shipped as data, it costs a quarter of a megabyte and needs `protobuf` alone; xds-protos itself is 1,600 modules
    and brings grpcio.
    """
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    found = FileDescriptorSet()
    seen: set[str] = set()

    def add(file: Any) -> None:
        if file.name not in seen:
            seen.add(file.name)
            for dependency in file.dependencies:
                add(dependency)
            file.CopyToProto(found.file.add())

    for name in ROOTS.split():
        add(importlib.import_module(name.replace("/", ".") + "_pb2").DESCRIPTOR)
    replace(root / DESCRIPTORS, found.SerializeToString(deterministic=True))


STEP = Step(DESCRIPTORS, ("build_steps/descriptors.py",), ("xds-protos==1.85.*",), write)
