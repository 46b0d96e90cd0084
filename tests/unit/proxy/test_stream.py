"""What waits in a stream's inbox."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from composemesh.proxy.codec import h2
from composemesh.proxy.multiplex import Link
from composemesh.proxy.reactor import Reactor
from composemesh.proxy.stream import CRUMB, Stream
from composemesh.proxy.wire import Wire


@pytest.fixture
def stream() -> Iterator[Stream]:
    ours, theirs = socket.socketpair()
    wire = Wire(ours, reactor := Reactor())
    yield Stream(Link(wire, h2.ServerConnection(), reactor), 1)
    wire.close()
    theirs.close()


def taken(stream: Stream) -> list[h2.Event]:
    events = []
    while (event := stream.next_now()) is not None:
        events.append(event)
    return events


def test_crumbs_of_a_body_are_put_together(stream: Stream) -> None:
    """A megabyte in frames of a byte would be a hundred megabytes of events."""
    crumbs = [b"%05d" % number for number in range(10_000)]
    for crumb in crumbs:
        stream.put(h2.BodyCame(1, crumb, 8, False))
    stream.put(h2.BodyCame(1, b"", 0, True))
    pieces = taken(stream)
    assert len(pieces) <= 2 * 50_000 / CRUMB
    assert all(isinstance(piece, h2.BodyCame) and len(piece.payload) <= CRUMB for piece in pieces)
    bodies = [piece for piece in pieces if isinstance(piece, h2.BodyCame)]
    assert b"".join(body.payload for body in bodies) == b"".join(crumbs)
    assert sum(body.flow for body in bodies) == 80_000
    assert [body.end for body in bodies] == [False] * (len(bodies) - 1) + [True]


def test_pieces_are_left_as_they_came_and_so_is_what_is_between(stream: Stream) -> None:
    whole = b"x" * CRUMB
    trailers = h2.Trailers(1, [(b"a", b"b")])
    for payload in (whole, b"y", whole):
        stream.put(h2.BodyCame(1, payload, len(payload), False))
    stream.put(trailers)
    first, crumb, last, end = taken(stream)
    assert first == last == h2.BodyCame(1, whole, CRUMB, False)
    assert crumb == h2.BodyCame(1, b"y", 1, False)
    assert end == trailers
