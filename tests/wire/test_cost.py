"""The codec stays cheap, also for those who mean it ill: work grows with the bytes, not with their square."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from composemesh.proxy.codec.body import ChunkedBody
from composemesh.proxy.codec.h1 import HeadBuffer, parse_request
from composemesh.proxy.codec.parts import Limits, Malformed
from wire import cost
from wire.conversation import bytewise


@pytest.mark.parametrize("name", ["parse_request, 10 fields", "parse_response, 6 fields"])
def test_a_head_costs_microseconds(name: str) -> None:
    # Measured at 4 and 3 µs; tenfold, so that only a change of kind fails here and never a busy machine.
    assert cost.microseconds(cost.calls()[name], number=500, runs=9) < 40


def _refused(feed: Callable[[bytes], object], raw: bytes) -> None:
    def feed_all() -> None:
        for piece in bytewise(raw):
            feed(piece)

    with pytest.raises(Malformed):
        feed_all()


HOSTILE: dict[str, Callable[[], object]] = {
    "a head of short fields, byte by byte": lambda: _refused(
        HeadBuffer().feed, b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 200
    ),
    "a value without end, byte by byte": lambda: _refused(HeadBuffer().feed, b"GET / HTTP/1.1\r\na:" + b"x" * 70000),
    "versions without end, byte by byte": lambda: _refused(
        HeadBuffer().feed, b"GET /" + b"x" * 4000 + b" HTTP/1.1" + b" HTTP/5.6" * 900
    ),
    "lines of a name that may come once, byte by byte": lambda: _refused(
        HeadBuffer(Limits(fields=9000)).feed, b"GET / HTTP/1.1\r\n" + b"host-:\r\n" * 7000 + b"Host:\r\n" * 2
    ),
    "a target without end, byte by byte": lambda: _refused(HeadBuffer().feed, b"GET /" + b"x" * 70000),
    "blanks in a value": lambda: parse_request(b"GET / HTTP/1.0\r\na:" + b" x" * 30000 + b" " * 400 + b"\r\n\r\n"),
    "nothing but blanks": lambda: parse_request(b"GET / HTTP/1.0\r\na:" + b" " * 60000 + b"\r\n\r\n"),
    "an extension without end, byte by byte": lambda: _refused(ChunkedBody().feed, b"5;" + b"x" * 70000),
    "blanks before an extension, byte by byte": lambda: _refused(ChunkedBody().feed, b"5" + b" " * 70000),
    "trailers without end, byte by byte": lambda: _refused(ChunkedBody().feed, b"0\r\n" + b"a:\r\n" * 5000),
    "chunks of one byte": lambda: ChunkedBody().feed(b"1\r\nx\r\n" * 10000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_attacker_pays_by_the_byte(name: str) -> None:
    started = time.process_time()
    HOSTILE[name]()
    # Each takes 10 to 60 ms here. A regular expression that backtracks, or a rescan, would take minutes.
    assert time.process_time() - started < 1.5
