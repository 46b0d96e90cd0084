"""What we write is what we would accept, and what we were given."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from composemesh.proxy.codec.h1 import REASONS, encode_request, encode_response, parse_request, parse_response

FIELDS = [(b"Host", b"a"), (b"X-Empty", b""), (b"x-Case", b"a  b")]


def test_a_request() -> None:
    assert encode_request(b"GET", b"/p?q", FIELDS) == (
        b"GET /p?q HTTP/1.1\r\nHost: a\r\nX-Empty: \r\nx-Case: a  b\r\n\r\n"
    )
    assert encode_request(b"GET", b"/", [], 10) == b"GET / HTTP/1.0\r\n\r\n"
    assert encode_request(b"GET", b"/", (field for field in FIELDS[:1])) == b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def test_a_response() -> None:
    assert encode_response(200, b"OK", [(b"A", b"b")]) == b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"
    assert encode_response(599, b"", []) == b"HTTP/1.1 599 \r\n\r\n"
    assert (REASONS[200], REASONS[503]) == (b"OK", b"Service Unavailable")


_NAME = st.text("abcXYZ019-_.!#$%&'*+^`|~", min_size=1, max_size=9).map(lambda name: b"x" + name.encode())
_INNER = st.binary(max_size=9).map(
    lambda raw: bytes(byte for byte in raw if byte == 9 or 32 <= byte != 127).strip(b" \t")
)


@given(st.lists(st.tuples(_NAME, _INNER), max_size=20))
def test_fields_survive_the_round_trip(fields: list[tuple[bytes, bytes]]) -> None:
    request = parse_request(encode_request(b"GET", b"/", [(b"Host", b"a"), *fields]))
    assert request.fields == [(b"Host", b"a"), *fields]
    assert parse_response(encode_response(200, b"OK", fields), b"GET").fields == fields
