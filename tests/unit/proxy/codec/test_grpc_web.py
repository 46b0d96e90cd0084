"""gRPC-Web's envelopes: what is gRPC-Web, base64 in any pieces, and the last frame."""

from __future__ import annotations

import base64
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from composemesh.proxy.codec.grpc_web import Call, answers_in_grpc, asks_in_grpc_web
from composemesh.proxy.codec.h1 import parse_request
from composemesh.proxy.codec.parts import HTTP2, STREAMED, Malformed, ResponseHead


def call(kind: bytes = b"application/grpc-web+proto", accept: bytes = b"") -> Call:
    values = {b"content-type": kind}
    return Call(values | ({b"accept": accept} if accept else {}))


@pytest.mark.parametrize(
    ("kind", "is_one"),
    [
        (b"application/grpc-web", True),
        (b"application/grpc-web+proto", True),
        (b"application/grpc-web-text", True),
        (b"Application/gRPC-Web-Text+Proto; charset=utf-8", True),
        (b"application/grpc-web+json", True),
        (b"application/grpc", False),
        (b"application/grpc+proto", False),
        (b"application/grpc-website", False),
        (b"application/grpc-web-textual", False),
        (b"text/plain", False),
        (b"", False),
    ],
)
def test_what_is_grpc_web(kind: bytes, is_one: bool) -> None:
    assert asks_in_grpc_web({b"content-type": kind}) is is_one


def test_the_head_becomes_grpcs() -> None:
    raw = (
        b"POST /test.Echo/Echo HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\nX-Grpc-Web: 1\r\nX-Mine: 1\r\n"
        b"Content-Type: application/grpc-web-text+proto\r\nAccept: application/grpc-web-text\r\n\r\n"
    )
    came = parse_request(raw)
    head = Call(came.values).request_head(came, empty=False)
    assert (head.version, head.body, head.method, head.path) == (HTTP2, STREAMED, b"POST", b"/test.Echo/Echo")
    assert dict(head.fields) == {
        b"Host": b"app",
        b"X-Mine": b"1",
        b"content-type": b"application/grpc+proto",
        b"te": b"trailers",
    }
    assert head.values == {name.lower(): value for name, value in head.fields}
    assert came.body == 5  # of which nothing has changed


@given(st.binary(max_size=60), st.lists(st.integers(0, 80), max_size=6), st.integers(1, 60))
def test_base64_comes_in_any_pieces(body: bytes, cuts: list[int], padded_every: int) -> None:
    pieces = [body[at : at + padded_every] for at in range(0, len(body), padded_every)]
    text = b"".join(map(base64.b64encode, pieces))
    web = call(b"application/grpc-web-text")
    places = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    got = b"".join(web.request(text[begin:end]) for begin, end in itertools.pairwise(places))
    web.request_ended()
    assert got == body


@pytest.mark.parametrize(
    "text", [b"QUJ?", b"QUJD\r\nQUJD", b"Q===", b"====", b"QU=D", b"QUJD QUJD", b"QUI=A", b"QUJ", b"Q"]
)
def test_what_is_no_base64_is_refused(text: bytes) -> None:
    web = call(b"application/grpc-web-text")

    def feed() -> None:
        web.request(text)
        web.request_ended()

    with pytest.raises(Malformed):
        feed()


def test_binary_passes_as_it_is() -> None:
    web = call()
    assert web.request(b"\0\0\0\0\1x") == b"\0\0\0\0\1x"
    assert web.response(b"\0\0\0\0\1x") == b"\0\0\0\0\1x"
    web.request_ended()


@pytest.mark.parametrize(
    ("kind", "accept", "answered"),
    [
        (b"application/grpc-web+proto", b"", b"application/grpc-web+proto"),
        (b"application/grpc-web-text", b"", b"application/grpc-web-text"),
        (b"application/grpc-web+proto", b"application/grpc-web-text", b"application/grpc-web-text+proto"),
        (b"application/grpc-web-text+proto", b"application/grpc-web+proto", b"application/grpc-web+proto"),
        (b"application/grpc-web-text+proto", b"*/*", b"application/grpc-web-text+proto"),
    ],
)
def test_the_answer_is_of_the_kind_that_was_asked_for(kind: bytes, accept: bytes, answered: bytes) -> None:
    web = call(kind, accept)
    fields = [(b"content-type", b"application/grpc+proto"), (b"x-mine", b"1"), (b"content-length", b"5")]
    came = ResponseHead(200, b"OK", HTTP2, fields, dict(fields), 5, True, b"")
    assert answers_in_grpc(fields)
    head, out = web.response_head(came, fields)
    assert (head.body, dict(out)) == (STREAMED, {b"content-type": answered, b"x-mine": b"1"})
    assert b"content-length" not in head.values
    frame = web.trailers([(b"Grpc-Status", b"0"), (b"grpc-message", b"")])
    if b"text" in answered:
        frame = base64.b64decode(frame, validate=True)
    assert frame == b"\x80\0\0\0\x1egrpc-status:0\r\ngrpc-message:\r\n"


def test_only_grpcs_answers_are_changed() -> None:
    assert not answers_in_grpc([(b"content-type", b"text/html")])
    assert not answers_in_grpc([])
