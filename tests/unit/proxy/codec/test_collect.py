"""Heads that come in pieces: the same verdict as for whole ones, and as soon as it can be told."""

from __future__ import annotations

from typing import Any

import pytest

from composemesh.proxy.codec.collect import TrailerBuffer
from composemesh.proxy.codec.h1 import HeadBuffer, parse_request
from composemesh.proxy.codec.parts import Limits, Malformed

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"


def refused_after(pieces: list[bytes], **kwargs: Any) -> int:
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


@pytest.mark.parametrize("first", [b"", b"\r\n"])
@pytest.mark.parametrize("version", [b"5.6", b"2.0", b"0.9", b"1.2"])
def test_a_version_that_is_not_ours_needs_no_line_end(first: bytes, version: bytes) -> None:
    line = first + b"GET / HTTP/" + version
    assert refused_after([line]) == 505
    assert refused_after([line[at : at + 1] for at in range(len(line))]) == 505


@pytest.mark.parametrize(
    "begun",
    [
        b"GET / HTTP/5",
        b"GET / HTTP/5.",
        b"GET / HTTP/1",
        b"GET / HTTP/1.1",
        b"GET HTTP/5.6",
        b"GET / HTTP/1.1 HTTP/5.6",
    ],
)
def test_other_versions_wait_for_their_line(begun: bytes) -> None:
    assert HeadBuffer().feed(begun) is False
    assert refused_after([begun[at : at + 1] for at in range(len(begun))] + [b" x\r\n"]) == 400


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([b"Content-Length: 1", b"Content-Length: 2"], "two Content-Length fields"),
        ([b"content-length: 1", b"X: y", b"CONTENT-LENGTH: 1"], "two Content-Length fields"),
        ([b"Host: a", b"host: a"], "two Host fields"),
        ([b"Content-Type: a/b", b"Content-type: c/d"], "two Content-Type fields"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_may_come_once_is_refused_when_it_comes_again(lines: list[bytes], why: str, size: int) -> None:
    begun = b"\r\n".join([b"POST / HTTP/1.1", *lines, b""])
    buffer = HeadBuffer()
    for at in range(0, len(begun) - size, size):
        assert buffer.feed(begun[at : at + size]) is False
    with pytest.raises(Malformed) as early:
        buffer.feed(begun[len(begun) - (len(begun) - 1) % size - 1 :])
    with pytest.raises(Malformed) as late:
        parse_request(begun + b"\r\n")
    assert str(early.value) == str(late.value) == f"400 {why}"


def test_the_first_of_several_faults_tells() -> None:
    many = [b"X: y\r\n"] * 101
    again = [b"Host: a\r\n"] * 2
    for lines, status in ((again + many, 400), (many + again, 431), ([*again, b"X y\r\n"], 400)):
        head = b"GET / HTTP/1.1\r\n" + b"".join(lines)
        assert refused_after([head]) == status
        with pytest.raises(Malformed) as whole:
            parse_request(head + b"\r\n")
        assert whole.value.status == status


def test_what_comes_twice_elsewhere_is_awaited() -> None:
    assert HeadBuffer().feed(b"GET / HTTP/1.1\r\nX-Host: a\r\nHost-X: a\r\nHost: a\r\nX: Host:\r\n") is False
    assert HeadBuffer(response=True).feed(b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n") is False
    assert refused_after([b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n"], response=True) == 400
    assert TrailerBuffer().feed(b"Content-Type: a/b\r\nContent-Type: c/d\r\n") is False


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
