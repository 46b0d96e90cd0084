"""Upgrades: which are asked for, which HTTP/2 can say, and WebSocket's handshake."""

from __future__ import annotations

import base64

import pytest

from composemesh.proxy.codec.h1 import parse_request
from composemesh.proxy.codec.parts import RequestHead
from composemesh.proxy.headers import takes_trailers, trailer_fields
from composemesh.proxy.upstream.upgrade import (
    accept_of,
    asks_for_tunnel,
    new_key,
    protocols,
    travels_in_http2,
    without_accept,
)


def head(upgrade: bytes = b"", line: bytes = b"GET / HTTP/1.1") -> RequestHead:
    asked = b"Connection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n" if upgrade else b""
    return parse_request(line + b"\r\nHost: a:80\r\n" + asked + b"\r\n")


@pytest.mark.parametrize(
    ("upgrade", "asked", "in_http2"),
    [
        (b"", [], False),
        (b"WebSocket", [b"websocket"], True),
        (b"websocket , chat/2", [b"websocket", b"chat/2"], False),
        (b"h2c", [], False),
        (b"websocket,\tH2C", [], False),
    ],
)
def test_what_is_asked_for(upgrade: bytes, asked: list[bytes], in_http2: bool) -> None:
    request = head(upgrade)
    assert protocols(request) == asked
    assert asks_for_tunnel(request) is bool(asked)
    assert travels_in_http2(request) is in_http2


def test_an_extended_connect_has_no_room_for_a_method() -> None:
    assert not travels_in_http2(head(b"websocket", b"PUT / HTTP/1.1"))


def test_connect_asks_for_a_tunnel() -> None:
    assert asks_for_tunnel(head(line=b"CONNECT a:80 HTTP/1.1"))


def test_the_websocket_handshake() -> None:
    assert accept_of(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, 1.3
    assert len(base64.b64decode(new_key(), validate=True)) == 16
    assert new_key() != new_key()
    assert without_accept([(b"Sec-WebSocket-Accept", b"x"), (b"x", b"y")]) == [(b"x", b"y")]


@pytest.mark.parametrize(
    ("te", "takes"), [(b"", False), (b"trailers", True), (b"gzip;q=0.5,\tTrailers", True), (b"trailersx", False)]
)
def test_who_reads_trailers(te: bytes, takes: bool) -> None:
    assert takes_trailers({b"te": te} if te else {}) is takes


def test_what_may_come_after_a_body() -> None:
    fields = [(b"X-Sum", b"1"), (b"Authorization", b"x"), (b"connection", b"x"), (b"X-Forwarded-For", b"1.2.3.4")]
    assert trailer_fields(fields) == [(b"X-Sum", b"1")]
