"""An upstream answers this: we understand that, or refuse it."""

from __future__ import annotations

import pytest

from composemesh.proxy.codec.h1 import parse_response
from composemesh.proxy.codec.parts import CHUNKED, UNTIL_CLOSE, Limits, Malformed


def response(*lines: bytes, line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([line, *lines, b"", b""])


def refused(head: bytes, method: bytes = b"GET") -> Malformed:
    with pytest.raises(Malformed) as caught:
        parse_response(head, method)
    return caught.value


def test_an_ordinary_response() -> None:
    head = parse_response(response(b"Content-Length: 5", b"Set-Cookie: a=1", b"set-cookie: b=2 "), b"GET")
    assert (head.status, head.reason, head.version, head.body, head.keep_alive) == (200, b"OK", 11, 5, True)
    assert head.fields == [(b"Content-Length", b"5"), (b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2")]
    assert head.values == {b"content-length": b"5", b"set-cookie": b"a=1, b=2"}
    assert repr(head) == "<ResponseHead 200 body=5>"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"HTTP/1.1 200", b""),
        (b"HTTP/1.1 200 ", b""),
        (b"HTTP/1.1 200 Not\tso \xe9", b"Not\tso \xe9"),
        (b"HTTP/1.1 200 OK: fine", b"OK: fine"),
    ],
)
def test_reasons(line: bytes, reason: bytes) -> None:
    head = parse_response(response(b"X: y", line=line), b"GET")
    assert head.reason == reason
    assert head.fields == [(b"X", b"y")]


@pytest.mark.parametrize(
    "line",
    [
        *(b"HTTP/1.1", b"HTTP/1.1 ", b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 200OK", b"HTTP/1.1  200 OK"),
        *(
            b"HTTP/1.1 099 X",
            b"HTTP/1.1 0 X",
            b"HTTP/1.1 -20 X",
            b"HTTP/1.1 2_0 X",
            b"HTTP/1.1 \xb200 X",
            b"HTTP/1.1 abc",
        ),
        *(
            b"HTTP/1.2 200 OK",
            b"HTTP/2.0 200 OK",
            b"HTTP/0.9 200 OK",
            b"http/1.1 200 OK",
            b"ICY 200 OK",
            b"junkHTTP/1.1 200",
        ),
        *(
            b"HTTP/1.1 200 O\x00K",
            b"HTTP/1.1 200 O\rK",
            b"HTTP/1.1 200 OK\r",
            b" HTTP/1.1 200 OK",
            b"\r\nHTTP/1.1 200 OK",
        ),
        b"HTTP/1.1 200 " + b"r" * 8193,
    ],
)
def test_status_lines_refused(line: bytes) -> None:
    refused(response(b"Content-Length: 0", line=line))


@pytest.mark.parametrize(
    ("method", "status", "fields", "body", "kept"),
    [
        (b"GET", b"200", [], UNTIL_CLOSE, False),
        (b"GET", b"200", [b"Content-Length: 0"], 0, True),
        (b"GET", b"200", [b"Transfer-Encoding: chunked"], CHUNKED, True),
        (b"GET", b"200", [b"Connection: close", b"Content-Length: 1"], 1, False),
        (b"HEAD", b"200", [b"Content-Length: 5"], 0, True),
        (b"HEAD", b"200", [b"Transfer-Encoding: chunked"], 0, True),
        (b"HEAD", b"200", [], 0, True),
        (b"GET", b"304", [b"Content-Length: 5"], 0, True),
        (b"GET", b"204", [], 0, True),
        (b"GET", b"204", [b"Content-Length: 0"], 0, True),
        (b"GET", b"103", [b"Link: </a>"], 0, True),
        (b"CONNECT", b"200", [b"Content-Length: 5"], UNTIL_CLOSE, False),
        (b"CONNECT", b"403", [b"Content-Length: 5"], 5, True),
    ],
)
def test_how_a_response_is_framed(method: bytes, status: bytes, fields: list[bytes], body: int, kept: bool) -> None:
    head = parse_response(response(*fields, line=b"HTTP/1.1 " + status + b" X"), method)
    assert (head.body, head.keep_alive) == (body, kept)


def test_http_1_0_persists_only_when_it_says_so_and_ends_somewhere() -> None:
    def kept(*fields: bytes) -> bool:
        return parse_response(response(*fields, line=b"HTTP/1.0 200 OK"), b"GET").keep_alive

    assert not kept(b"Content-Length: 5")
    assert kept(b"Content-Length: 5", b"Connection: keep-alive")
    assert not kept(b"Connection: keep-alive")
    refused(response(b"Transfer-Encoding: chunked", line=b"HTTP/1.0 200 OK"))


@pytest.mark.parametrize("line", [b"HTTP/1.1 204 No Content", b"HTTP/1.1 100 Continue", b"HTTP/1.1 101 X"])
def test_a_body_where_none_can_be_is_refused(line: bytes) -> None:
    upgrade = b"Connection: upgrade", b"Upgrade: x"
    refused(response(b"Content-Length: 5", *upgrade, line=line))
    refused(response(b"Transfer-Encoding: chunked", *upgrade, line=line))


def test_switching_protocols() -> None:
    line = b"HTTP/1.1 101 Switching Protocols"
    head = parse_response(response(b"Connection: Upgrade", b"Upgrade: WebSocket", line=line), b"GET")
    assert (head.upgrade, head.body, head.keep_alive) == (b"websocket", 0, False)
    refused(response(b"Upgrade: websocket", line=line))
    refused(response(b"Connection: upgrade", line=line))
    refused(response(b"Connection: upgrade", b"Upgrade: websocket", line=line.replace(b"1.1", b"1.0", 1)))
    offer = response(b"Connection: upgrade", b"Upgrade: h2c", b"Content-Length: 0")
    assert parse_response(offer, b"GET").upgrade == b""


@pytest.mark.parametrize(
    "fields",
    [
        [b"Content-Length: 5", b"Content-Length: 5"],
        [b"Content-Length: 5, 5"],
        [b"Content-Length: +5"],
        [b"Content-Length:"],
        [b"Content-Length: 99999999999999999999"],
        [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked, identity"],
        [b"Transfer-Encoding: gzip, chunked"],
        [b"X: a\x00b"],
        [b"X: a\rSet-Cookie: s=1"],
        [b"X: a\r\n folded"],
        [b"X Y: z"],
        [b"X : z"],
        [b": z"],
        [b"X: y"] * 101,
        [b"X: " + b"y" * 61440],
    ],
)
def test_fields_refused(fields: list[bytes]) -> None:
    refused(response(*fields))
    refused(response(*fields), b"HEAD")


def test_limits_can_be_set() -> None:
    with pytest.raises(Malformed):
        parse_response(response(b"X: y", b"Y: z"), b"GET", Limits(fields=1))
