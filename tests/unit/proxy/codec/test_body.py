"""Bodies as they come, in one piece and byte by byte."""

from __future__ import annotations

import pytest

from composemesh.proxy.codec.body import (
    LAST_CHUNK,
    ChunkedBody,
    CloseBody,
    LengthBody,
    body_reader,
    encode_chunk,
    encode_end,
)
from composemesh.proxy.codec.parts import CHUNKED, UNTIL_CLOSE, Limits, Malformed

HELLO = b"5\r\nhello\r\n"


def read(raw: bytes, *, cut: bool = False, limits: Limits | None = None) -> tuple[bytes, bool, bytes]:
    """Payload, whether the body has ended, and what came after."""
    body = ChunkedBody(limits or Limits())
    payload = b""
    for at in range(len(raw)) if cut else [0]:
        if body.done:
            return payload, True, raw[at:]
        payload += body.feed(raw[at : at + 1] if cut else raw)
    return payload, body.done, body.rest


def test_a_length() -> None:
    body = LengthBody(5)
    first = b"hel"
    assert body.feed(first) is first
    assert (body.done, body.left) == (False, 2)
    assert body.feed(b"loGET") == b"lo"
    assert (body.done, body.left, body.rest) == (True, 0, b"GET")
    exact = b"hello"
    assert LengthBody(5).feed(exact) is exact
    assert LengthBody(0).done
    assert repr(LengthBody(5)) == "<LengthBody: 5 left>"


def test_until_the_connection_ends() -> None:
    body = CloseBody()
    data = b"hello"
    assert body.feed(data) is data
    assert (body.done, body.rest, repr(body)) == (False, b"", "<CloseBody>")


def test_the_reader_for_each_framing() -> None:
    assert isinstance(body_reader(0), LengthBody)
    assert body_reader(0).done
    assert isinstance(body_reader(CHUNKED), ChunkedBody)
    assert isinstance(body_reader(UNTIL_CLOSE), CloseBody)


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(
    ("raw", "payload"),
    [
        (LAST_CHUNK, b""),
        (b"000\r\n\r\n", b""),
        (HELLO + LAST_CHUNK, b"hello"),
        (HELLO + b"6\r\n world\r\n" + LAST_CHUNK, b"hello world"),
        (b"A\r\n0123456789\r\n" + LAST_CHUNK, b"0123456789"),
        (b"000000000000000a\r\n0123456789\r\n0000000000000000\r\n\r\n", b"0123456789"),
        (b"2\r\n\r\n\r\n" + LAST_CHUNK, b"\r\n"),
        (b"5;a\r\nhello\r\n0;b=c\r\n\r\n", b"hello"),
        (b'5 ; a = "b \\" c" ;d;e=f\r\nhello\r\n' + LAST_CHUNK, b"hello"),
        (HELLO + b"0\r\nX-Checksum: 1\r\nY:\r\n\r\n", b"hello"),
    ],
)
def test_chunks(raw: bytes, payload: bytes, cut: bool) -> None:
    assert read(raw, cut=cut) == (payload, True, b"")
    assert read(raw + b"GET", cut=cut) == (payload, True, b"GET")


@pytest.mark.parametrize(
    "raw",
    [
        *(b"-5\r\nhello\r\n", b"+5\r\nhello\r\n", b" 5\r\nhello\r\n", b"5 \r\nhello\r\n", b"5\t\r\nhello\r\n"),
        *(
            b"0x5\r\nhello\r\n",
            b"0_5\r\nhello\r\n",
            b"5h\r\nhello\r\n",
            b"g\r\n",
            b"\r\nhello\r\n",
            b";a\r\n",
            b"5,5\r\n",
        ),
        *(
            b"5\nhello\r\n",
            b"5\rhello\r\n",
            b"5\r\r\nhello\r\n",
            b"5\x0b\r\nhello\r\n",
            b"\xb2\r\nhello\r\n",
            b"5\x00\r\n",
        ),
        *(
            b"5;\r\nhello\r\n",
            b"5;=b\r\nhello\r\n",
            b"5;a=\r\nhello\r\n",
            b"5;a b\r\nhello\r\n",
            b"5;a=\x00\r\nhello\r\n",
        ),
        *(
            b'5;a="b\r\nhello\r\n',
            b'5;a="b\r\n"\r\n',
            b"5;a=b\nhello\r\n",
            b"5;a\rb\r\nhello\r\n",
            b"5;a=\xff\r\nhello\r\n",
        ),
        *(b"5\r\nhelloXX\r\n", b"5\r\nhello\n", b"5\r\nhello\rX", b"5\r\nhello0\r\n\r\n", b"4\r\nhello\r\n"),
        *(b"11111111111111111\r\n", b"F" * 64 + b"\r\n", b"10000000000000005\r\n"),
        *(
            b"0\n\r\n",
            b"0\r\nX : y\r\n\r\n",
            b"0\r\nX\r\n\r\n",
            b"0\r\nX: \x00\r\n\r\n",
            b"0\r\n X: y\r\n\r\n",
            b"0\r\nX: y\n\r\n",
        ),
        *(b"0\r\nX: y\r\n z\r\n\r\n", b"0\r\n: y\r\n\r\n", b"0\r\nX: a\rb\r\n\r\n"),
        *(
            b"0\r\nContent-Length: 5\r\n\r\n",
            b"0\r\ntransfer-encoding: chunked\r\n\r\n",
            b"0\r\nX: y\r\nHost: a\r\n\r\n",
        ),
    ],
)
@pytest.mark.parametrize("before", [b"", HELLO])
@pytest.mark.parametrize("cut", [False, True])
def test_chunks_refused(raw: bytes, before: bytes, cut: bool) -> None:
    with pytest.raises(Malformed) as caught:
        read(before + raw, cut=cut)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "raw", [b"5", b"5\r", HELLO[:-1], HELLO, HELLO + b"0\r\n", HELLO + b"0\r\nX: y\r\n", b"5;a", b""]
)
@pytest.mark.parametrize("cut", [False, True])
def test_a_cut_body_has_not_ended(raw: bytes, cut: bool) -> None:
    payload, done, _ = read(raw, cut=cut)
    assert not done
    assert b"hello".startswith(payload)


def test_payload_amid_a_chunk_is_handed_on_as_it_is() -> None:
    body = ChunkedBody()
    assert body.feed(b"a\r\n") == b""
    piece = b"01234"
    assert body.feed(piece) is piece
    assert repr(body) == "<ChunkedBody: 5 left of a chunk>"
    assert body.feed(b"56789\r\n0\r\n") == b"56789"
    assert repr(body) == "<ChunkedBody: trailers>"
    assert body.feed(b"\r\n") == b""
    assert repr(body) == "<ChunkedBody: done>"


def test_trailers_end_at_their_own_empty_line_however_they_come() -> None:
    body = ChunkedBody()
    for piece in (b"0\r\n", b"X: y", b"\r\n", b"Y: z\r\n"):
        body.feed(piece)
        assert not body.done
    body.feed(b"\r\nGET")
    assert (body.done, body.rest) == (True, b"GET")


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"4000000000000001\r\n", 413),
        (b"ffffffffffffffff\r\n", 413),
        (b"5;" + b"x" * 4096 + b"\r\nhello\r\n", 413),
        ((b"1;" + b"x" * 1000 + b"\r\ny\r\n") * 17, 413),
        (b"0\r\nX: " + b"y" * 8192 + b"\r\n\r\n", 431),
        (b"0\r\n" + b"X: y\r\n" * 101 + b"\r\n", 431),
    ],
)
def test_limits(raw: bytes, status: int, cut: bool) -> None:
    with pytest.raises(Malformed) as caught:
        read(raw, cut=cut)
    assert caught.value.status == status


def test_what_is_within_the_limits_is_read() -> None:
    assert read(b"5;" + b"x" * 4095 + b"\r\nhello\r\n" + LAST_CHUNK)[1]
    assert read(b"1\r\nx\r\n" * 5000 + LAST_CHUNK)[0] == b"x" * 5000
    body = ChunkedBody()
    body.feed(b"4000000000000000\r\nx")
    assert body.left == 2**62 - 1


def test_chunks_written_are_chunks_read() -> None:
    assert encode_chunk(b"x" * 27) == b"1b\r\n" + b"x" * 27 + b"\r\n"
    assert encode_chunk(b"") == b""
    assert read(encode_chunk(b"hello") + LAST_CHUNK + b"GET") == (b"hello", True, b"GET")


@pytest.mark.parametrize("cut", [False, True])
def test_trailers_are_kept_in_their_order(cut: bool) -> None:
    raw = HELLO + b"0\r\nX-Sum: 42\r\nx-more:  a b \r\n\r\nGET"
    body = ChunkedBody()
    for at in range(len(raw)) if cut else [0]:
        if not body.done:
            body.feed(raw[at : at + 1] if cut else raw)
    assert body.trailers == [(b"X-Sum", b"42"), (b"x-more", b"a b")]
    written = HELLO + encode_end(body.trailers)
    again = ChunkedBody()
    assert again.feed(written) == b"hello"
    assert (again.done, again.trailers) == (True, body.trailers)


def test_without_trailers_the_end_is_the_last_chunk() -> None:
    assert encode_end([]) == LAST_CHUNK
    body = ChunkedBody()
    body.feed(LAST_CHUNK)
    assert list(body.trailers) == []
