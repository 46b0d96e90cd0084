"""Pseudo-fields ↔ heads, in both directions, through two connections of ours."""

from __future__ import annotations

import pytest

from composemesh.proxy.codec.h1 import encode_request, parse_request
from composemesh.proxy.codec.h2 import (
    ClientConnection,
    Event,
    InterimCame,
    RequestOpened,
    ResponseHeadCame,
    ServerConnection,
    StreamReset,
    Trailers,
)
from composemesh.proxy.codec.h2.fields import Sensitive
from composemesh.proxy.codec.h2.heads import request, response, trailers
from composemesh.proxy.codec.parts import LIMITS, STREAMED, Fields, Limits, Malformed, RequestHead, ResponseHead


class Pair:
    """A client and a server of ours, joined by hand."""

    def __init__(self) -> None:
        self.client, self.server = ClientConnection(), ServerConnection()
        self.turn()
        self.turn()

    def turn(self) -> list[Event]:
        """What the server, then the client, is told."""
        told = self.server.receive(self.client.data_to_send())
        return told + self.client.receive(self.server.data_to_send())

    def request(self, fields: Fields = [], end: bool = True, method: bytes = b"GET", **more: bytes) -> RequestHead:  # noqa: B006
        self.stream = self.client.send_head(method, b"reviews:9080", b"/1?a=b", fields, end, **more)
        opened = self.turn()[0]
        assert isinstance(opened, RequestOpened)
        return opened.head

    def response(self, status: int, fields: Fields, end: bool = True) -> ResponseHead:
        self.server.send_head(self.stream, status, fields, end)
        came = self.turn()[0]
        assert isinstance(came, ResponseHeadCame | InterimCame)
        return came.head


def test_a_request_says_what_it_would_say_in_http_1() -> None:
    head = Pair().request([(b"Accept", b"*/*"), (b"X-Twice", b"1"), (b"x-twice", b"2")])
    same = parse_request(
        b"GET /1?a=b HTTP/1.1\r\nhost: reviews:9080\r\naccept: */*\r\nx-twice: 1\r\nx-twice: 2\r\n\r\n"
    )
    for name in ("method", "target", "authority", "path", "fields", "values", "body", "keep_alive", "upgrade"):
        assert getattr(head, name) == getattr(same, name), name
    assert head.version == 20


def test_what_is_for_one_connection_stays_there() -> None:
    head = Pair().request(
        [
            (b"Connection", b"keep-alive"),
            (b"Keep-Alive", b"5"),
            (b"Proxy-Connection", b"close"),
            (b"Transfer-Encoding", b"chunked"),
            (b"Upgrade", b"h2c"),
            (b"Host", b"elsewhere"),
            (b"TE", b"deflate, Trailers"),
            (b"x-kept", b"yes"),
        ]
    )
    assert head.fields == [(b"host", b"reviews:9080"), (b"te", b"trailers"), (b"x-kept", b"yes")]


def test_te_without_trailers_is_left_out() -> None:
    assert b"te" not in Pair().request([(b"te", b"deflate")]).values


@pytest.mark.parametrize("field", [(b"x\r\ny", b"z"), (b"x", b"y\r\nz"), (b"x", b"\0"), (b":path", b"/")])
def test_what_cannot_travel_is_never_written(field: tuple[bytes, bytes]) -> None:
    pair = Pair()
    pair.client.send_head(b"GET", b"a", b"/", [field, (b"x-kept", b"yes")], True)
    told = pair.turn()[0]
    if field[0] == b":path":
        assert isinstance(told, StreamReset), "the peer would refuse it; ours does"
    else:
        assert isinstance(told, RequestOpened)
        assert told.head.fields == [(b"host", b"a"), (b"x-kept", b"yes")]


def test_cookies_are_put_together_again() -> None:
    head = Pair().request([(b"cookie", b"a=b"), (b"x", b"y"), (b"cookie", b"c=d"), (b"cookie", b"e=f")])
    assert head.fields == [(b"host", b"reviews:9080"), (b"cookie", b"a=b; c=d; e=f"), (b"x", b"y")]
    assert head.values[b"cookie"] == b"a=b; c=d; e=f"


@pytest.mark.parametrize(
    ("fields", "end", "body"),
    [
        ([], True, 0),
        ([], False, STREAMED),
        ([(b"content-length", b"5")], False, 5),
        ([(b"content-length", b"0")], True, 0),
    ],
)
def test_how_long_a_request_is(fields: Fields, end: bool, body: int) -> None:
    assert Pair().request(fields, end, b"POST").body == body


def test_a_client_may_wait_for_a_100() -> None:
    pair = Pair()
    assert pair.request([(b"expect", b"100-continue")], False, b"PUT").expect_continue
    pair.server.send_head(pair.stream, 100, [])
    [interim] = pair.turn()
    assert isinstance(interim, InterimCame)
    assert pair.response(200, []).status == 200


def test_a_websocket_is_opened() -> None:
    pair = Pair()
    head = pair.request([(b"Sec-WebSocket-Version", b"13")], False, upgrade=b"websocket")
    assert (head.method, head.upgrade, head.path, head.is_connect) == (b"GET", b"websocket", b"/1?a=b", False)
    assert head.body == STREAMED
    answer = pair.response(101, [], end=False)
    assert (answer.status, answer.upgrade, answer.body) == (101, b"websocket", STREAMED)


def test_a_websocket_is_refused() -> None:
    pair = Pair()
    pair.request([], False, upgrade=b"websocket")
    assert pair.response(403, []).status == 403


def test_a_tunnel() -> None:
    pair = Pair()
    stream = pair.client.send_head(b"CONNECT", b"db:5432", b"", [])
    opened = pair.turn()[0]
    assert isinstance(opened, RequestOpened)
    assert (opened.head.is_connect, opened.head.authority, opened.head.path) == (True, b"db:5432", b"")
    pair.server.send_head(stream, 200, [])
    came = pair.turn()[0]
    assert isinstance(came, ResponseHeadCame)
    assert came.head.body == STREAMED


@pytest.mark.parametrize(
    ("method", "status", "length", "end", "body"),
    [
        (b"GET", 200, b"5", False, 5),
        (b"GET", 200, None, False, STREAMED),
        (b"GET", 200, None, True, 0),
        (b"HEAD", 200, b"5", True, 0),
        (b"GET", 304, b"5", True, 0),
        (b"GET", 204, None, True, 0),
    ],
)
def test_how_long_a_response_is(method: bytes, status: int, length: bytes | None, end: bool, body: int) -> None:
    pair = Pair()
    pair.request(method=method)
    head = pair.response(status, [] if length is None else [(b"Content-Length", length)], end)
    assert (head.body, head.version) == (body, 20)
    assert head.reason


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [(b":status", b"99")],
        [(b":status", b"1000")],
        [(b":status", b"101")],
        [(b":status", b"2 0")],
        [(b":status", b"200"), (b":path", b"/")],
        [(b"x", b"y"), (b":status", b"200")],
        [(b":status", b"200"), (b":status", b"200")],
        [(b":status", b"200"), (b"content-length", b"5, 5")],
        [(b":status", b"200"), (b"content-length", b"5")],
        [(b":status", b"204"), (b"content-length", b"5")],
        [(b":status", b"103")],
    ],
)
def test_a_response_that_is_none(fields: Fields) -> None:
    with pytest.raises(Malformed):
        response(fields, b"GET", b"", True, LIMITS)


def asked(*more: tuple[bytes, bytes], **pseudo: bytes) -> RequestHead:
    said = {"method": b"GET", "scheme": b"http", "path": b"/", "authority": b"a"} | pseudo
    return request([*((b":" + name.encode(), value) for name, value in said.items()), *more], True, LIMITS)


@pytest.mark.parametrize("method", [b"-bl", b"-", b"PRI", b"G T", b""])
def test_methods_refused(method: bytes) -> None:
    with pytest.raises(Malformed):
        asked(method=method)
    assert asked(method=b"!#$%&'*+-.^_`|~").method == b"!#$%&'*+-.^_`|~"


@pytest.mark.parametrize("authority", [b"-a", b"a.-b", b"a192.168.2.10", b"999.1.1.1"])
def test_authorities_refused_as_in_http_1(authority: bytes) -> None:
    with pytest.raises(Malformed):
        asked(authority=authority)


@pytest.mark.parametrize(
    ("name", "why"), [(b"content-type", "two Content-Type fields"), (b"host", "two Host fields")]
)
def test_what_may_come_once(name: bytes, why: str) -> None:
    with pytest.raises(Malformed) as caught:
        asked((name, b"a"), (b"x", b"y"), (name, b"a"))
    assert caught.value.reason == why
    assert asked((name, b"a")).values[name] == b"a"


def test_authority_and_host_may_be_spelled_apart() -> None:
    """Default ports are normalised (RFC 9113, 8.3.1)."""
    assert asked((b"host", b"A:80")).authority == b"a"
    assert asked((b"host", b"a"), scheme=b"https", authority=b"a:443").authority == b"a:443"
    for host in (b"b", b"a:443", b"a:8080", b"a::80"):
        with pytest.raises(Malformed):
            asked((b"host", host))
    with pytest.raises(Malformed):
        asked((b"host", b""), authority=b"80")  # a name, and no port


def test_a_head_too_large_is_answered() -> None:
    pair = Pair()
    stream = pair.client.send_head(b"POST", b"a", b"/", [(b"x-%d" % n, b"y") for n in range(101)])
    reset, came, after = pair.turn()
    assert isinstance(reset, StreamReset)
    assert (reset.stream, reset.reason) == (stream, "431 too many header fields")
    assert isinstance(came, ResponseHeadCame)
    assert (came.head.status, came.end) == (431, True)
    assert isinstance(after, StreamReset)
    assert after.code == 0, "no need to send the body"


def test_a_path_too_long_is_answered() -> None:
    with pytest.raises(Malformed) as caught:
        request(
            [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/" * 8193), (b":authority", b"a")],
            True,
            LIMITS,
        )
    assert caught.value.status == 414


def test_a_head_of_too_many_bytes() -> None:
    with pytest.raises(Malformed) as caught:
        response([(b":status", b"200"), (b"x", b"y" * 100)], b"GET", b"", True, Limits(head=99))
    assert caught.value.status == 431


def test_trailers() -> None:
    pair = Pair()
    pair.request([], False)
    pair.client.send_trailers(pair.stream, [(b"Grpc-Status", b"0"), (b"Connection", b"close")])
    [told] = pair.turn()
    assert told == Trailers(pair.stream, [(b"grpc-status", b"0")])


@pytest.mark.parametrize("name", [b"content-length", b"host", b"trailer", b":status", b":method"])
def test_trailers_that_may_not_be(name: bytes) -> None:
    with pytest.raises(Malformed):
        trailers([(name, b"1")], LIMITS)


def test_trailers_of_nothing_are_an_end() -> None:
    pair = Pair()
    pair.request([], False)
    pair.client.send_trailers(pair.stream, [(b"connection", b"close")])
    [told] = pair.turn()
    assert told.end is True  # type: ignore[attr-defined]


def test_too_many_interim_responses() -> None:
    pair = Pair()
    pair.request()
    for _ in range(17):
        pair.server.send_head(pair.stream, 103, [(b"link", b"</a>")])
    told = pair.turn()
    assert [type(one) for one in told] == [InterimCame] * 16 + [StreamReset]


def test_what_was_never_to_be_indexed_stays_so() -> None:
    """RFC 7541, 6.2.3: for every hop after the one that said so."""
    first, second = Pair(), Pair()
    secret = Sensitive((b"x-secret", b"a value longer than twenty"))
    for _ in range(3):
        head = first.request([secret])
        field = head.fields[1]
        assert type(field) is Sensitive
        second.client.send_head(b"GET", b"a", b"/", head.fields, True)
        assert secret[1] in second.client.data_to_send()
    plain = Pair()
    for _ in range(2):
        plain.request([tuple(secret)])  # type: ignore[list-item]
    plain.client.send_head(b"GET", b"a", b"/", [tuple(secret)], True)  # type: ignore[list-item]
    assert secret[1] not in plain.client.data_to_send(), "another field enters the table when it comes again"


def test_a_head_can_be_written_in_http_1() -> None:
    head = Pair().request([(b"x", b"y")])
    assert encode_request(head.method, head.path, head.fields) == (
        b"GET /1?a=b HTTP/1.1\r\nhost: reviews:9080\r\nx: y\r\n\r\n"
    )
