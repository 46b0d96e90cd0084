"""Counters of one label set. Plain integers: the request path adds to them, a scrape reads them."""

from __future__ import annotations

from typing import Final

from composemesh.model.flag import Flag
from composemesh.model.peer import Peer
from composemesh.telemetry.window import Window

GRPC_FAULTS: Final = frozenset({2, 4, 12, 13, 14, 15})
"""UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS."""
BUCKETS: Final = (
    *(0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000),
    *(60000, 300000, 600000, 1800000, 3600000),
)
"""Upper bounds of Istio's histograms: milliseconds for durations, and the same numbers of bytes for sizes."""
DURATION_BOUNDS: Final = tuple(bound / 1000 for bound in BUCKETS)
"""`BUCKETS` in seconds, as records have them."""


class Histogram:
    """Observations by bucket, each in one bucket only; the last one has no upper bound."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0
        """The sum of what was observed."""

    def __repr__(self) -> str:
        return f"<Histogram {sum(self.counts)} total={self.total}>"


class Edge:
    """Traffic between two graph nodes, that is, from one service and version to another, in one protocol."""

    __slots__ = ("destination", "protocol", "source", "window")

    def __init__(self, source: Peer, destination: Peer, protocol: str) -> None:
        self.source = source
        """The first workload met of this service and version; the others count here too."""
        self.destination = destination
        self.protocol = protocol
        self.window = Window()

    def __repr__(self) -> str:
        return f"<Edge {self.source!r} → {self.destination!r} {self.protocol}>"


class Series:
    """Exchanges from one workload to another that ended in one way."""

    __slots__ = (
        *("code", "destination", "durations", "edge", "failed", "flag", "grpc", "protocol", "request_sizes"),
        *("response_sizes", "source"),
    )

    def __init__(self, source: Peer, destination: Peer, edge: Edge, code: int, grpc: int, flag: Flag) -> None:
        self.source = source
        self.destination = destination
        self.protocol = edge.protocol
        self.edge = edge
        self.code = code
        self.grpc = grpc
        """The grpc-status; -1 where there is none."""
        self.flag = flag
        self.failed = int(failed(edge.protocol, code, grpc, flag))
        """1 where such an exchange counts as an error, else 0."""
        self.durations = Histogram()
        """In seconds."""
        self.request_sizes = Histogram()
        """Body bytes from the downstream."""
        self.response_sizes = Histogram()
        """Body bytes to the downstream."""

    def __repr__(self) -> str:
        return f"<Series {self.source!r} → {self.destination!r} {self.protocol} {self.code} {self.flag.value}>"

    @property
    def requests(self) -> int:
        return sum(self.durations.counts)


class TcpSeries:
    """Connections from one workload to another. The relay adds to the four counters while it pumps."""

    __slots__ = ("closed", "destination", "edge", "opened", "received", "sent", "source")

    def __init__(self, source: Peer, destination: Peer, edge: Edge) -> None:
        self.source = source
        self.destination = destination
        self.edge = edge
        self.opened = 0
        self.closed = 0
        self.sent = 0
        """Bytes to the downstream (Istio: "sent during response")."""
        self.received = 0
        """Bytes from the downstream (Istio: "received during request")."""

    def __repr__(self) -> str:
        return f"<TcpSeries {self.source!r} → {self.destination!r} open={self.opened - self.closed}>"


def failed(protocol: str, code: int, grpc: int, flag: Flag) -> bool:
    """Whether an exchange counts as an error: a 5xx, no response at all, or a gRPC status that is the server's fault
    (as OpenTelemetry's conventions have it); for TCP, anything but an ordinary end."""
    if protocol == "tcp":
        return flag not in (Flag.NONE, Flag.DOWNSTREAM_CONNECTION_TERMINATION)
    return code >= 500 or code == 0 or grpc in GRPC_FAULTS
