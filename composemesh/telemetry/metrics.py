"""The Prometheus text: Istio's standard metrics, so that its dashboards work unchanged, and a few of our own.

Istio counts an exchange twice, once in the sidecar of either side. Here one hop does the work of both, and the two
reports are made when they are read: `reporter="source"` where the source is captured, `reporter="destination"`
where the destination is. https://istio.io/latest/docs/reference/config/metrics/
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, islice
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from composemesh import __version__
from composemesh.model.peer import Peer, PeerKind
from composemesh.telemetry.hub import Hub
from composemesh.telemetry.records import Records
from composemesh.telemetry.series import BUCKETS, Histogram, Series, TcpSeries

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

PAGE = 8
"""Label sets in one page: some 4 ms of work, after which whoever writes pages should let others run."""

CLUSTER = "composemesh"
"""Istio's *_cluster labels: which control plane a workload belongs to."""

_ENDS = (
    "source_workload",
    "source_workload_namespace",
    "source_principal",
    "source_app",
    "source_version",
    "source_cluster",
    "source_canonical_service",
    "source_canonical_revision",
    "destination_workload",
    "destination_workload_namespace",
    "destination_principal",
    "destination_app",
    "destination_version",
    "destination_cluster",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_service",
    "destination_service_name",
    "destination_service_namespace",
)
_TCP_LABELS = ("reporter", *_ENDS, "request_protocol", "response_flags", "connection_security_policy")
_HTTP_LABELS = (*_TCP_LABELS, "response_code", "grpc_response_status")
_BOUNDS = (*map(str, BUCKETS), "+Inf")

_Labels = tuple[str, ...]
_Rows = dict[_Labels, list[Any]]
"""Label set → series that bear it: several where a workload was captured only after its first requests."""


def pages(hub: Hub, project: str) -> Iterator[bytes]:
    """The whole text in pieces that take a few milliseconds each; joined, it is one valid exposition.

    Counters go on counting between two pages, but all samples of one histogram are of one moment.
    """
    yield generate_latest(_process(hub))
    requests: _Rows = {}
    for series in hub.series:
        if series.protocol != "tcp":
            grpc = str(series.grpc) if series.grpc >= 0 else ""
            _bear(requests, series, project, series.protocol, series.flag.value, str(series.code), grpc)
    connections: _Rows = {}
    for tcp in hub.tcp_series:
        _bear(connections, tcp, project, "tcp", "-")
    for family in _HTTP_FAMILIES:
        yield from _paged(*family, requests)
    for family in _TCP_FAMILIES:
        yield from _paged(*family, connections)


def text(hub: Hub, project: str) -> bytes:
    """The whole text at once."""
    return b"".join(pages(hub, project))


class _One(Collector):
    """A collector of a single family, filled already."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return (self._family,)


_Make = Callable[[], Any]
_Add = Callable[[Any, _Labels, list[Any]], None]


def _paged(make: _Make, add: _Add, rows: _Rows) -> Iterator[bytes]:
    """One family, some rows at a time. Its two comment lines stand in the first page only."""
    yield generate_latest(_One(make()))
    remaining = iter(rows.items())
    while batch := list(islice(remaining, PAGE)):
        family = make()
        for labels, series in batch:
            add(family, labels, series)
        yield generate_latest(_One(family)).split(b"\n", 2)[2]


def _counter(name: str, documentation: str, labels: _Labels, read: Callable[[Any], float]) -> tuple[_Make, _Add]:
    def add(family: CounterMetricFamily, labels: _Labels, series: list[Any]) -> None:
        family.add_metric(labels, sum(map(read, series)))

    return lambda: CounterMetricFamily(name, documentation, labels=labels), add


def _histogram(name: str, documentation: str, read: Callable[[Series], Histogram], scale: int) -> tuple[_Make, _Add]:
    def add(family: HistogramMetricFamily, labels: _Labels, series: list[Series]) -> None:
        histograms = [read(one) for one in series]
        counts = map(sum, zip(*(histogram.counts for histogram in histograms), strict=True))
        total = sum(histogram.total for histogram in histograms)
        family.add_metric(labels, list(zip(_BOUNDS, accumulate(counts), strict=True)), total * scale)

    return lambda: HistogramMetricFamily(name, documentation, labels=_HTTP_LABELS), add


_HTTP_FAMILIES = (
    _counter("istio_requests", "Requests that ended.", _HTTP_LABELS, lambda series: series.requests),
    _histogram(
        "istio_request_duration_milliseconds",
        "Time from the first byte of a request to the last byte of its response.",
        lambda series: series.durations,
        1000,
    ),
    _histogram("istio_request_bytes", "Body bytes of requests.", lambda series: series.request_sizes, 1),
    _histogram("istio_response_bytes", "Body bytes of responses.", lambda series: series.response_sizes, 1),
)
_TCP_FAMILIES = (
    _counter("istio_tcp_sent_bytes", "Bytes sent to the source.", _TCP_LABELS, lambda series: series.sent),
    _counter("istio_tcp_received_bytes", "Bytes received from it.", _TCP_LABELS, lambda series: series.received),
    _counter("istio_tcp_connections_opened", "Connections opened.", _TCP_LABELS, lambda series: series.opened),
    _counter("istio_tcp_connections_closed", "Connections closed.", _TCP_LABELS, lambda series: series.closed),
)


def _process(hub: Hub) -> CollectorRegistry:
    """What is told of the mesh process itself."""
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    build = GaugeMetricFamily(
        "composemesh_build_info", "Always 1; the labels say what runs.", labels=("version", "python")
    )
    build.add_metric((__version__, platform.python_version()), 1)
    series = GaugeMetricFamily(
        "composemesh_telemetry_series", "Label sets that the hub counts under.", labels=("kind",)
    )
    series.add_metric(("http",), len(hub.series))
    series.add_metric(("tcp",), len(hub.tcp_series))
    uptime = GaugeMetricFamily(
        "composemesh_uptime_seconds", "Seconds since the mesh started.", hub.clock() - hub.started
    )
    lag = GaugeMetricFamily(
        "composemesh_loop_lag_seconds", "How late, at worst, the loop ran what was due, of late.", hub.lag.worst
    )
    taken = CounterMetricFamily("composemesh_sink_records_taken", "Records that a sink took.", labels=("sink",))
    lost = CounterMetricFamily(
        "composemesh_sink_records_lost", "Records that a sink never got or could not hand on.", labels=("sink",)
    )
    for feed in hub.feeds:
        if isinstance(feed, Records):
            taken.add_metric((feed.name,), feed.taken)
            lost.add_metric((feed.name,), feed.lost)
    for family in (build, series, uptime, lag, taken, lost):
        registry.register(_One(family))
    return registry


def _bear(rows: _Rows, series: Series | TcpSeries, project: str, protocol: str, flags: str, *answer: str) -> None:
    """Put a series under the label set of each side that reports on it."""
    source, destination = series.source, series.destination
    ends = (*_end(source, project), *_end(destination, project), *_service(destination, project))
    # The caller's side can't know whether the other end authenticated it: Istio says "unknown" there too.
    if source.captured:
        rows.setdefault(("source", *ends, protocol, flags, "unknown", *answer), []).append(series)
    # Where neither is captured the callee's sidecar spoke, of a request that never reached the application.
    if destination.captured or not source.captured:
        rows.setdefault(("destination", *ends, protocol, flags, "none", *answer), []).append(series)


def _end(peer: Peer, project: str) -> _Labels:
    inside = peer.kind in (PeerKind.SERVICE, PeerKind.GATEWAY)
    return (
        peer.workload,
        project if inside else "unknown",
        "unknown",
        peer.service,
        peer.version,
        CLUSTER if inside else "unknown",
        peer.service,
        peer.version,
    )


def _service(peer: Peer, project: str) -> _Labels:
    if peer.kind in (PeerKind.SERVICE, PeerKind.GATEWAY):
        return (f"{peer.service}.{project}.svc.cluster.local", peer.service, project)
    return (peer.service, peer.service, "unknown")
