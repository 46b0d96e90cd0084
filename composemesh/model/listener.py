"""What a listener takes: Istio's `connectionSettings` (ProxyConfig, MeshConfig) as one value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """For each listener of each sidecar. 0 is no limit; durations are in seconds."""

    connections: int = 0
    """Connections at a time (`listenerConnectionLimit`); one too many is reset."""
    requests: int = 0
    """Requests at a time; one too many is answered with 503."""
    head: int = 61440
    """Bytes of a request's head, field names and values included (Envoy's max_request_headers_kb); longer: 431."""
    fields: int = 100
    """Fields of a request's head (Envoy's max_headers_count); more: 431."""
    idle_timeout: float = 3600.0
    """How long a connection may wait for its next request (`httpIdleTimeout`)."""
    slow_reader_timeout: float = 300.0
    """How long a client may take nothing of an answer that is ready for it (Envoy's stream idle timeout)."""
