"""Where the proxy tells what happened, and everybody else reads it. `Hub.tell` is part of every request.

Counters are found by the identity of the two peers and by how the exchange ended: one dictionary look-up. The proxy
makes new peers when the mesh changes; the first record of a new pair finds the old counters by the peers' values.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Collection
from math import log
from typing import Final, Protocol

from composemesh.model.flag import Flag
from composemesh.model.peer import Peer
from composemesh.model.record import Record
from composemesh.runtime.lag import LoopLag
from composemesh.telemetry.series import BUCKETS, DURATION_BOUNDS, Edge, Series, TcpSeries
from composemesh.telemetry.window import LOG_SCALE, SHORTEST

__all__ = ["Edge", "Feed", "Hub", "Series", "TcpSeries"]

MOST_SERIES = 10_000
"""Label sets. A hostile container can make any number of status codes and outside addresses: the rest is `other`."""
MOST_EDGES: Final = 1_000
"""Pairs of graph nodes; each keeps a window of its own."""
MOST_REMEMBERED = 4 * MOST_SERIES
"""Look-ups by identity. Peers that the mesh has replaced stay in there until it is emptied and fills again."""

_Key = tuple[Peer, Peer, str, int, int, Flag]
_PeerKey = tuple[str, str, str, str, bool]


class Feed(Protocol):
    """Where every record goes, for somebody to read: a sink's `Records`, somebody's `Watcher`."""

    def put(self, record: Record) -> None:
        """Take a finished record. On the request path: must neither wait nor raise. The record is final: keep it."""


class Hub:
    """All that telemetry knows. One for each mesh; used from the trio thread only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        """Monotonic seconds; what windows are reckoned by."""
        self.started = clock()
        self.lag = LoopLag()
        """Of the process; whoever runs the proxy runs it."""
        self.feeds: tuple[Feed, ...] = ()
        self._known: dict[_Key, Series] = {}
        self._series: dict[tuple[_PeerKey, _PeerKey, str, int, int, Flag], Series] = {}
        self._tcp: dict[tuple[_PeerKey, _PeerKey], TcpSeries] = {}
        self._edges: dict[tuple[tuple[str, ...], tuple[str, ...], str], Edge] = {}

    def __repr__(self) -> str:
        return f"<Hub series={len(self._series)} tcp={len(self._tcp)} edges={len(self._edges)} feeds={self.feeds}>"

    @property
    def series(self) -> Collection[Series]:
        """Exchanges, of HTTP and of TCP, by label set."""
        return self._series.values()

    @property
    def tcp_series(self) -> Collection[TcpSeries]:
        return self._tcp.values()

    @property
    def edges(self) -> Collection[Edge]:
        return self._edges.values()

    def tell(self, record: Record) -> None:
        """Count one finished exchange, and put it into the feeds. On the request path: under 3 µs, never raises."""
        grpc, code = record.grpc_status, record.response_code
        series = self._known.get(key := (record.source, record.destination, record.protocol, code, grpc, record.flag))
        if series is None:
            series = self._meet(key)

        duration = record.duration
        durations = series.durations
        durations.counts[bisect_left(DURATION_BOUNDS, duration)] += 1
        durations.total += duration
        received = record.bytes_received
        sizes = series.request_sizes
        sizes.counts[bisect_left(BUCKETS, received)] += 1
        sizes.total += received
        sent = record.bytes_sent
        sizes = series.response_sizes
        sizes.counts[bisect_left(BUCKETS, sent)] += 1
        sizes.total += sent

        second = int(self.clock())
        window = series.edge.window
        tally = window.newest
        if tally.at != second:
            tally = window.turn(second)
        tally.errors += series.failed
        tally.received += received
        tally.sent += sent
        tally.latencies[int(log(duration / SHORTEST) * LOG_SCALE) if duration > SHORTEST else 0] += 1

        for feed in self.feeds:
            feed.put(record)

    def tcp(self, source: Peer, destination: Peer) -> TcpSeries:
        """The counters of TCP connections between two peers; ask once a connection."""
        key = (source.key, destination.key)
        series = self._tcp.get(key)
        if series is None and (len(self._tcp) >= MOST_SERIES or self._full(source, destination, "tcp")):
            source, destination = _other(source), _other(destination)
            key = (source.key, destination.key)
            series = self._tcp.get(key)
        if series is None:
            series = self._tcp[key] = TcpSeries(source, destination, self._edge(source, destination, "tcp"))
        return series

    def add_feed(self, feed: Feed) -> None:
        if feed not in self.feeds:
            self.feeds = (*self.feeds, feed)

    def remove_feed(self, feed: Feed) -> None:
        self.feeds = tuple(other for other in self.feeds if other is not feed)

    def _meet(self, key: _Key) -> Series:
        """The series of a pair of peers not seen together before, or not since the mesh changed."""
        source, destination, protocol, code, grpc, flag = key
        found = self._series.get((source.key, destination.key, protocol, code, grpc, flag))
        if found is None:
            if len(self._series) >= MOST_SERIES or self._full(source, destination, protocol):
                source, destination, code, flag = _other(source), _other(destination), code // 100 * 100, Flag.NONE
                grpc = min(grpc, 1)
            values = (source.key, destination.key, protocol, code, grpc, flag)
            found = self._series.get(values)
            if found is None:
                edge = self._edge(source, destination, protocol)
                found = self._series[values] = Series(source, destination, edge, code, grpc, flag)
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[key] = found
        return found

    def _full(self, source: Peer, destination: Peer, protocol: str) -> bool:
        """Whether this would be an edge too many."""
        return len(self._edges) >= MOST_EDGES and _edge_key(source, destination, protocol) not in self._edges

    def _edge(self, source: Peer, destination: Peer, protocol: str) -> Edge:
        key = _edge_key(source, destination, protocol)
        edge = self._edges.get(key)
        if edge is None:
            edge = self._edges[key] = Edge(source, destination, protocol)
        return edge


def _edge_key(source: Peer, destination: Peer, protocol: str) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    return (source.key[:3], destination.key[:3], protocol)


def _other(peer: Peer) -> Peer:
    """Who stands for all those that are too many."""
    return Peer("other", "unknown", "other", peer.kind, captured=peer.captured)
