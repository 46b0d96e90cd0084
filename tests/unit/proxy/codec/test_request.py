"""A client says this: we understand that, or refuse it with that status."""

from __future__ import annotations

import pytest

from composemesh.proxy.codec import grammar
from composemesh.proxy.codec.grammar import ABSOLUTE, is_authority
from composemesh.proxy.codec.h1 import parse_request
from composemesh.proxy.codec.parts import CHUNKED, Limits, Malformed


def request(*lines: bytes, line: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join([line, *lines, b"", b""])


def refused(head: bytes, limits: Limits | None = None) -> Malformed:
    with pytest.raises(Malformed) as caught:
        parse_request(head, limits or Limits())
    return caught.value


def test_an_ordinary_request() -> None:
    head = parse_request(request(b"Host: a:80", b"X-One:\t 1 \t", b"x-two:", line=b"GET /p?q=1 HTTP/1.1"))
    assert (head.method, head.target, head.path, head.authority) == (b"GET", b"/p?q=1", b"/p?q=1", b"a:80")
    assert head.version == 11
    assert head.fields == [(b"Host", b"a:80"), (b"X-One", b"1"), (b"x-two", b"")]
    assert head.values == {b"host": b"a:80", b"x-one": b"1", b"x-two": b""}
    assert (head.body, head.keep_alive, head.expect_continue, head.upgrade) == (0, True, False, b"")


def test_inner_blanks_and_high_bytes_of_a_value_are_kept() -> None:
    assert parse_request(request(b"Host: a", b"X:  a  b\tc \xe9 ")).values[b"x"] == b"a  b\tc \xe9"


def test_several_fields_of_a_name_are_joined_in_values_and_apart_in_fields() -> None:
    head = parse_request(request(b"Host: a", b"Accept: x", b"aCCEPT: y"))
    assert head.values[b"accept"] == b"x, y"
    assert head.fields[1:] == [(b"Accept", b"x"), (b"aCCEPT", b"y")]


def test_one_empty_line_before_a_request_is_forgiven_and_two_are_not() -> None:
    assert parse_request(b"\r\n" + request(b"Host: a")).path == b"/"
    assert refused(b"\r\n\r\n" + request(b"Host: a")).status == 400
    assert refused(b"\n" + request(b"Host: a")).status == 400


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /", 400),  # HTTP/0.9
        (b"GET  / HTTP/1.1", 400),
        (b"GET / HTTP/1.1 ", 400),
        (b" GET / HTTP/1.1", 400),
        (b"GET\t/ HTTP/1.1", 400),
        (b"GET / http/1.1", 400),
        (b"GET / HTTP/1", 400),
        (b"GET / HTTP/01.1", 400),
        (b"GET / HTTP/1.1 HTTP/1.1", 400),
        (b"GET / HTTP/1.2", 505),
        (b"GET / HTTP/0.9", 505),
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/3.0", 505),
        (b"G(T / HTTP/1.1", 400),
        (b"G\x80T / HTTP/1.1", 400),
        (b"GET / HTTP/1.10", 400),
        (b"GET / HTTP/1.1 HTTP/2.0", 400),
        (b"GET / HTTP/2.0 HTTP/1.1", 505),
        (b"GET / HTTP/5.67", 505),
        (b"PRI * HTTP/2.0", 505),
        (b"- / HTTP/1.1", 400),
        (b"-bl / HTTP/1.1", 400),
        (b"PRI / HTTP/1.1", 400),
        (b"PRI * HTTP/1.1", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET /\x00 HTTP/1.1", 400),
        (b"GET /\x7f HTTP/1.1", 400),
        (b"GET /\xc3\xa9 HTTP/1.1", 400),
        (b"GET /a#b HTTP/1.1", 400),
        (b"GET a HTTP/1.1", 400),
        (b"GET ?q HTTP/1.1", 400),
        (b"GET * HTTP/1.1", 400),
        (b"GET a:80 HTTP/1.1", 400),
        (b"GET ftp://a/ HTTP/1.1", 400),
        (b"GET http:a HTTP/1.1", 400),
        (b"GET http:/// HTTP/1.1", 400),
        (b"GET http://u:p@a/ HTTP/1.1", 400),
        (b"GET http://a:65536/ HTTP/1.1", 400),
        (b"GET http://[::1/ HTTP/1.1", 400),
        (b"GET http://a\\b/ HTTP/1.1", 400),
        (b"CONNECT / HTTP/1.1", 400),
        (b"CONNECT a:80 HTTP/1.1\r\nContent-Length: 5", 400),
        (b"CONNECT a:80 HTTP/1.1\r\nTransfer-Encoding: chunked", 400),
        (b"CONNECT a HTTP/1.1", 400),
        (b"CONNECT a: HTTP/1.1", 400),
        (b"CONNECT a:0 HTTP/1.1", 400),
        (b"CONNECT a:000 HTTP/1.1", 400),
        (b"CONNECT a:99999 HTTP/1.1", 400),
        (b"CONNECT u@a:80 HTTP/1.1", 400),
        (b"CONNECT http://a:80/ HTTP/1.1", 400),
    ],
)
def test_request_lines_refused(line: bytes, status: int) -> None:
    assert refused(request(b"Host: a", line=line)).status == status


@pytest.mark.parametrize(
    ("line", "authority", "path"),
    [
        (b"GET http://b/x?y HTTP/1.1", b"b", b"/x?y"),
        (b"GET HTTPS://B:443 HTTP/1.1", b"B:443", b"/"),
        (b"GET http://b?q HTTP/1.1", b"b", b"/?q"),
        (b"GET http://[::1]:80/ HTTP/1.1", b"[::1]:80", b"/"),
        (b"OPTIONS http://b HTTP/1.1", b"b", b"*"),
        (b"OPTIONS * HTTP/1.1", b"a", b"*"),
        (b"CONNECT b:443 HTTP/1.1", b"b:443", b""),
        (b"CONNECT [::1]:443 HTTP/1.1", b"[::1]:443", b""),
        (b'GET /"{}|\\^` HTTP/1.1', b"a", b'/"{}|\\^`'),
        (b"!#$%&'*+-.^_`|~ // HTTP/1.1", b"a", b"//"),
        (b"M-SEARCH / HTTP/1.1", b"a", b"/"),
    ],
)
def test_whom_a_target_names(line: bytes, authority: bytes, path: bytes) -> None:
    target = ABSOLUTE.fullmatch(line.split(b" ")[1])
    head = parse_request(request(b"Host: " + (target[2] if target else b"a"), line=line))
    assert (head.authority, head.path, head.target) == (authority, path, line.split(b" ")[1])
    assert head.is_connect == line.startswith(b"CONNECT")


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (b"http://a/", b"A"),
        (b"http://A/", b"a:80"),
        (b"http://a:80/", b"a"),
        (b"http://a:/", b"a:80"),
        (b"HTTPS://a/", b"a:443"),
        (b"https://a:443", b"a:"),
        (b"http://[::1]/", b"[::1]:80"),
        (b"http://a:8080/", b"a:8080"),
    ],
)
def test_a_target_and_its_host_may_be_spelled_apart(target: bytes, host: bytes) -> None:
    head = parse_request(request(b"Host: " + host, line=b"GET " + target + b" HTTP/1.1"))
    assert head.authority == target.split(b"/")[2]


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (b"http://a/", b"b"),
        (b"http://a/", b"a:443"),
        (b"https://a/", b"a:80"),
        (b"http://a:8080/", b"a"),
        (b"http://a/", b"a."),
        (b"http://[::80]/", b"[::]"),
        (b"http://[::1]/", b"[::2]"),
    ],
)
def test_a_target_for_another_host_than_host(target: bytes, host: bytes) -> None:
    line = b"GET " + target + b" HTTP/1."
    assert refused(request(b"Host: " + host, line=line + b"1")).reason == "target for another host than Host"
    assert parse_request(request(b"Host: " + host, line=line + b"0")).authority == target.split(b"/")[2]


@pytest.mark.parametrize(
    "host",
    [
        b"a",
        b"a-.b-c",
        b"_a._b",
        b"web.1",
        b"a.b.",
        b"a..b",
        b"1.2.3",
        b"a1.2.3",
        b"a.v1.2.3.4",
        b"1.2.3.4a",
        b"1.2.3.4.",
        b"255.255.255.255",
        b"[v1.-a]",
        b"a.b-c_d:80",
        b"a:",
        b"127.0.0.1:8080",
        b"[::1]",
        b"[::ffff:1.2.3.4]:1",
        b"[v1.a:b]",
        b"a%20b",
        b"x" * 255,
    ],
)
def test_hosts_accepted(host: bytes) -> None:
    assert parse_request(request(b"Host: " + host)).authority == host


@pytest.mark.parametrize(
    "host",
    [
        *(
            b"",
            b":80",
            b"a b",
            b"a,b",
            b"u@a",
            b"a/b",
            b"a\\b",
            b"a#b",
            b"a?b",
            b"a:b",
            b"a:80a",
            b"a:65536",
            b"a:80:80",
            b"-a",
            b"-",
            b"-a.c:80",
            b"a.-c",
            b"a192.168.2.10",
            b"a192.168.2.10:1234",
            b"999.1.1.1",
            b"1.2.3.256",
            b"01.2.3.4",
            b"1.2.3.1000000",
            b"a.2.3.4.",
            b".2.3.4",
        ),
        *(
            b"[::1",
            b"::1",
            b"[]",
            b"[gg::1]",
            b"[1:2]",
            b"[::1].",
            b"x[::1]",
            b"[::1%eth0]",
            b"a\x80",
            b"%zz",
            b"x" * 300,
        ),
    ],
)
def test_hosts_refused(host: bytes) -> None:
    assert refused(request(b"Host: " + host)).status == 400


def test_exactly_one_host() -> None:
    assert refused(request()).status == 400
    assert refused(request(b"Host: a", b"host: a")).status == 400
    assert refused(request(line=b"GET http://a/ HTTP/1.1")).status == 400
    assert refused(request(b"Host: a", b"Host: b", line=b"GET http://a/ HTTP/1.1")).status == 400
    assert parse_request(request(line=b"GET / HTTP/1.0")).authority == b""
    assert parse_request(request(line=b"GET http://a/ HTTP/1.0")).authority == b"a"


@pytest.mark.parametrize(
    "line",
    [
        *(
            b"X : y",
            b"X\t: y",
            b": y",
            b"X",
            b"X\x00: y",
            b"X\x0b: y",
            b"X/y: z",
            b"X\xe9: y",
            b":path: /",
            b"X Y: z",
        ),
        *(b"X: a\x00b", b"X: a\x01", b"X: a\x7fb", b"X: a\rb", b"X: a\r", b"X: a\nb", b"X: a\n", b" X: y", b"\tX: y"),
        *(b"X: a\r\n b", b"X:\r\n\tb", b"X: a\r\n \r\n b", b"\rX: y", b"\nX: y"),
    ],
)
def test_field_lines_refused(line: bytes) -> None:
    assert refused(request(b"Host: a", line)).status == 400
    assert refused(request(line, b"Host: a")).status == 400


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"X : y", "blank before the colon of a header field"),
        (b"X: a\x00b", "control byte in a header field"),
        (b"X: a\r\n b", "folded header field"),
        (b"X", "header field without a colon"),
        (b"X/y: z", "invalid header field name"),
    ],
)
def test_a_refusal_says_why(bad: bytes, why: str) -> None:
    assert refused(request(b"Host: a", bad, b"Y: z")).reason == why


@pytest.mark.parametrize("value", [b"0", b"5", b"0005", b"4611686018427387904"])
def test_lengths_accepted(value: bytes) -> None:
    assert parse_request(request(b"Host: a", b"Content-Length: " + value)).body == int(value)


@pytest.mark.parametrize(
    ("value", "status"),
    [
        *(
            (value, 400)
            for value in (b"", b"+5", b"-0", b"5 5", b"5,5", b"5, 5", b"5,", b"0x5", b"5.0", b"5_0", b"1e1")
        ),
        *((value, 400) for value in (b"\xb2", b"\xd9\xa5", b"5\xa0", b"\x0b5", b"18446744073709551621", b"9" * 5000)),
        *((value, 413) for value in (b"4611686018427387905", b"9223372036854775808", b"9" * 19)),
    ],
)
def test_lengths_refused(value: bytes, status: int) -> None:
    assert refused(request(b"Host: a", b"Content-Length: " + value)).status == status


def test_what_is_refused_is_not_remembered_at_length() -> None:
    before = grammar._is_authority.cache_info().currsize
    for n in range(9):
        assert not is_authority(b"%d" % n * 1000)
    assert grammar._is_authority.cache_info().currsize == before


@pytest.mark.parametrize("again", [b"text/plain", b"text/html", b""])
def test_one_content_type_only(again: bytes) -> None:
    said = request(b"Host: a", b"Content-Type: text/html", b"content-type: " + again)
    assert refused(said).reason == "two Content-Type fields"
    assert parse_request(request(b"Host: a", b"Content-Type: a/b, c/d", b"X: y", b"X: z"))


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH"])
@pytest.mark.parametrize("fields", [[], [b"X: y"], [b"Host: a", b"Connection: keep-alive"], [b"Connection: close"]])
def test_http_1_0_says_how_long_a_body_is(method: bytes, fields: list[bytes]) -> None:
    assert refused(request(*fields, line=method + b" / HTTP/1.0")).status == 411
    for length in (0, 5):
        head = parse_request(request(*fields, b"Content-Length: %d" % length, line=method + b" / HTTP/1.0"))
        assert head.body == length


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE"])
@pytest.mark.parametrize("fields", [[], [b"X: y"], [b"Host: a", b"Connection: keep-alive"], [b"Connection: close"]])
def test_http_1_0_has_no_body_where_none_is_meant(method: bytes, fields: list[bytes]) -> None:
    assert refused(request(*fields, b"Content-Length: 5", line=method + b" / HTTP/1.0")).status == 400
    assert parse_request(request(*fields, b"Content-Length: 0", line=method + b" / HTTP/1.0")).body == 0
    assert parse_request(request(*fields, line=method + b" / HTTP/1.0")).body == 0


@pytest.mark.parametrize("fields", [[b"Host: a"], [b"Host: a", b"Connection: close"]])
def test_what_nginx_says_in_http_1_0_for_others_is_served(fields: list[bytes]) -> None:
    assert parse_request(request(*fields, line=b"POST / HTTP/1.0")).body == 0
    assert parse_request(request(*fields, b"Content-Length: 5", line=b"GET / HTTP/1.0")).body == 5


def test_one_length_only() -> None:
    assert refused(request(b"Host: a", b"Content-Length: 5", b"content-length: 5")).status == 400
    assert refused(request(b"Host: a", b"Content-Length:", b"Content-Length: 5")).status == 400


def test_chunked() -> None:
    assert parse_request(request(b"Host: a", b"Transfer-Encoding: chunked")).body == CHUNKED
    assert parse_request(request(b"Host: a", b"TRANSFER-ENCODING: Chunked")).body == CHUNKED


@pytest.mark.parametrize(
    ("value", "status"),
    [
        *(
            (value, 400)
            for value in (b"", b"identity", b"identity, chunked", b"chunked, identity", b"chunked, chunked")
        ),
        *(
            (value, 400)
            for value in (b"chunked,", b",chunked", b"chunked;q=1", b'"chunked"', b"xchunked", b"chunked x")
        ),
        *(
            (value, 400)
            for value in (b"gzip", b"chunked, gzip", b"chunked, gzip, chunked", b"\xa0chunked", b"ch\xfcnked")
        ),
        *((value, 501) for value in (b"gzip, chunked", b"compress , Deflate,gzip,\tchunked")),
    ],
)
def test_codings_refused(value: bytes, status: int) -> None:
    assert refused(request(b"Host: a", b"Transfer-Encoding: " + value)).status == status


def test_framing_said_twice_is_refused() -> None:
    assert refused(request(b"Host: a", b"Transfer-Encoding: chunked", b"Content-Length: 5")).status == 400
    assert refused(request(b"Host: a", b"Content-Length: 0", b"Transfer-Encoding: chunked")).status == 400
    assert refused(request(b"Host: a", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked")).status == 400
    assert refused(request(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0")).status == 400


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (b"1.1", None, True),
        (b"1.1", b"close", False),
        (b"1.1", b"keep-alive, Close", False),
        (b"1.1", b",,,,close", False),
        (b"1.1", b"closed", True),
        (b"1.0", None, False),
        (b"1.0", b"Keep-Alive", True),
        (b"1.0", b"keep-alive, close", False),
    ],
)
def test_persistence(version: bytes, connection: bytes | None, kept: bool) -> None:
    fields = [b"Host: a"] + ([b"Connection: " + connection] if connection is not None else [])
    assert parse_request(request(*fields, line=b"GET / HTTP/" + version)).keep_alive is kept


def test_connection_options_count_on_every_line() -> None:
    assert not parse_request(request(b"Host: a", b"Connection: x", b"Connection: close")).keep_alive


def test_an_upgrade_is_asked_for_in_two_fields() -> None:
    assert parse_request(request(b"Host: a", b"Connection: Upgrade", b"Upgrade: WebSocket")).upgrade == b"websocket"
    assert parse_request(request(b"Host: a", b"Upgrade: websocket")).upgrade == b""
    assert parse_request(request(b"Host: a", b"Connection: upgrade")).upgrade == b""
    old = request(b"Connection: upgrade", b"Upgrade: websocket", line=b"GET / HTTP/1.0")
    assert parse_request(old).upgrade == b""


def test_expect_counts_only_with_a_body_to_wait_for() -> None:
    expect = b"Expect: 100-Continue"
    assert parse_request(request(b"Host: a", expect, b"Content-Length: 5")).expect_continue
    assert parse_request(request(b"Host: a", expect, b"Transfer-Encoding: chunked")).expect_continue
    assert not parse_request(request(b"Host: a", expect)).expect_continue
    assert not parse_request(request(expect, b"Content-Length: 5", line=b"POST / HTTP/1.0")).expect_continue
    assert not parse_request(request(b"Host: a", b"Expect: x", b"Content-Length: 5")).expect_continue


def test_limits_each_at_its_edge() -> None:
    def long_line(size: int) -> bytes:
        return request(b"Host: a", line=b"GET /".ljust(size - 9, b"x") + b" HTTP/1.1")

    assert len(parse_request(long_line(8192)).target) == 8192 - 13
    assert refused(long_line(8193)).status == 414
    assert refused(long_line(70000)).status == 414

    assert len(parse_request(request(b"Host: a", *[b"X: y"] * 99)).fields) == 100
    assert refused(request(b"Host: a", *[b"X: y"] * 100)).status == 431
    assert refused(request(b"Host: a", *[b"X: y"] * 5000)).status == 431

    bare = len(request(b"Host: a", b"X: "))
    assert parse_request(request(b"Host: a", b"X: " + b"y" * (61440 - bare)))
    assert refused(request(b"Host: a", b"X: " + b"y" * (61441 - bare))).status == 431
    assert refused(request(b"Host: a"), Limits(head=20)).status == 431


def test_what_is_no_head_at_all_is_refused() -> None:
    for raw in (b"", b"\r\n\r\n", b"GARBAGE\r\n\r\n", b"\x16\x03\x01\r\n\r\n", bytes(range(256)) + b"\r\n\r\n"):
        assert refused(raw).status == 400
    assert refused(request(b"Host: a") + b"more").status == 400
    assert refused(request(b"Host: a")[:-2]).status == 400


def test_it_prints_as_what_it_is() -> None:
    assert repr(parse_request(request(b"Host: a"))) == "<RequestHead b'GET' b'a' b'/' body=0>"
    assert str(refused(b"\r\n\r\n")) == "400 invalid request line"
