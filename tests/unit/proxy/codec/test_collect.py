"""Heads that come in pieces: the same verdict as for whole ones, and as soon as it can be told."""

from __future__ import annotations

import pytest

from composemesh.proxy.codec.h1 import HeadBuffer, parse_request
from composemesh.proxy.codec.parts import Limits, Malformed

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"


def refused_after(pieces: list[bytes], **kwargs: bool) -> int:
    """The status with which the last of the pieces is refused, all before it being taken."""
    buffer = HeadBuffer(**kwargs)
    for piece in pieces[:-1]:
        assert buffer.feed(piece) is False
    with pytest.raises(Malformed) as caught:
        buffer.feed(pieces[-1])
    return caught.value.status


@pytest.mark.parametrize("cut", range(1, len(HEAD)))
def test_two_pieces(cut: int) -> None:
    buffer = HeadBuffer()
    assert buffer.feed(HEAD[:cut]) is False
    assert buffer.feed(HEAD[cut:] + b"rest") is True
    assert (buffer.head, buffer.rest) == (HEAD, b"rest")


def test_an_empty_line_before_the_request_in_pieces() -> None:
    buffer = HeadBuffer()
    assert [buffer.feed(bytes([byte])) for byte in b"\r\n" + HEAD] == [False] * (len(HEAD) + 1) + [True]
    assert parse_request(buffer.head).path == b"/"


def test_nothing_is_decided_by_nothing() -> None:
    buffer = HeadBuffer()
    assert buffer.feed(b"") is False
    assert buffer.feed(HEAD) is True
    assert repr(buffer) == "<HeadBuffer: 33 bytes, 2 fields>"


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET / HTTP/1.1\n"],
        [b"GET / HTTP/1.1\r", b"H"],
        [b"GET / HTTP/1.1", b"\n"],
        [b"\x16"],
        [b"GET /\x00"],
        [b"\n"],
        [b"GARBAGE\r", b"\n"],
        [b"GET / HTTP/1.1\r\nHost: a", b"\n"],
        [b"GET / HTTP/1.1\r\n", b" "],
        [b"GET / HTTP/1.1\r\nX: y\r\n", b"\tz"],
        [b"GET / HTTP/1.1\r\nX y\r", b"\n"],
        [b"GET / HTTP/1.1\r\nX: y\r\nX : y\r", b"\n"],
    ],
)
def test_refused_at_the_byte_that_settles_it(pieces: list[bytes]) -> None:
    assert refused_after(pieces) == 400


def test_versions_are_told_at_the_end_of_the_line() -> None:
    assert refused_after([b"GET / HTTP/2.0\r", b"\n"]) == 505


def test_what_is_no_response_is_refused_before_its_line_ends() -> None:
    assert refused_after([b"HTT", b"X"], response=True) == 400
    assert refused_after([b"<"], response=True) == 400
    assert refused_after([b"\r"], response=True) == 400
    assert refused_after([b"HTTP/1.1 2x0 OK\r", b"\n"], response=True) == 400
    buffer = HeadBuffer(response=True)
    assert buffer.feed(b"HTTP/1.1 200 OK\r\n") is False
    assert buffer.feed(b"\r\nrest") is True
    assert (buffer.head, buffer.rest) == (b"HTTP/1.1 200 OK\r\n\r\n", b"rest")


def test_limits() -> None:
    assert refused_after([b"GET /", b"x" * 9000]) == 414
    assert refused_after([b"HTTP/1.1 200 ", b"x" * 9000], response=True) == 431
    assert refused_after([b"GET / HTTP/1.1\r\nX: ", b"y" * 61440]) == 431
    assert refused_after([b"GET / HTTP/1.1\r\n", *[b"X: y\r\n"] * 101]) == 431
    assert refused_after([b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 101]) == 431
    with pytest.raises(Malformed):
        HeadBuffer(Limits(head=10)).feed(HEAD)
