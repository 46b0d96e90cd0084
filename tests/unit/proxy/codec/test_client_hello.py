"""The ClientHello of real clients, in records cut anywhere; and what only looks like one."""

from __future__ import annotations

import ssl
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from composemesh.proxy.codec.client_hello import LONGEST, ClientHello, parse
from composemesh.proxy.codec.parts import Malformed


def flight(name: str | None = "Shop.test", alpn: tuple[str, ...] = (), *, old: bool = False) -> bytes:
    """What OpenSSL sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if old:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def records(message: bytes, size: int = 1 << 14) -> bytes:
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + struct.pack("!H", len(piece)) + piece for piece in pieces)


def extension(kind: int, content: bytes) -> bytes:
    return struct.pack("!HH", kind, len(content)) + content


def server_name(*names: bytes, kind: int = 0) -> bytes:
    entries = b"".join(struct.pack("!BH", kind, len(name)) + name for name in names)
    return extension(0, struct.pack("!H", len(entries)) + entries)


def hello(*extensions: bytes, session: bytes = b"", ciphers: bytes = b"\x13\x01", rest: bytes = b"") -> bytes:
    """A ClientHello of our own making, without its records."""
    body = b"\x03\x03" + bytes(32) + bytes([len(session)]) + session + struct.pack("!H", len(ciphers)) + ciphers
    body += b"\x01\x00"
    if extensions:
        body += struct.pack("!H", sum(map(len, extensions))) + b"".join(extensions)
    body += rest
    return b"\x01" + len(body).to_bytes(3) + body


def understood(data: bytes) -> ClientHello:
    found = parse(data)
    assert found is not None
    return found


@pytest.mark.parametrize("old", [False, True], ids=["1.3", "1.2"])
@pytest.mark.parametrize(("name", "heard"), [("Shop.test", "shop.test"), (None, ""), ("127.0.0.1", "")])
def test_a_real_client_is_understood(name: str | None, heard: str, old: bool) -> None:
    raw = flight(name, ("h2", "http/1.1"), old=old)
    found = understood(raw)
    assert (found.server_name, found.alpn) == (heard, (b"h2", b"http/1.1"))
    for size in range(len(raw)):
        assert parse(raw[:size]) is None
    assert understood(raw + b"\x17\x03\x03 early data").server_name == heard


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 100])
def test_the_message_may_be_cut_into_any_records(size: int) -> None:
    raw = records(flight()[5:], size)
    assert understood(raw).server_name == "shop.test"
    assert parse(raw[:-1]) is None


def test_the_oldest_form_has_no_extensions() -> None:
    found = understood(records(hello(session=bytes(32))))
    assert (found.server_name, found.alpn) == ("", ())


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x16\x02\x00",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x80\x2e\x01\x03\x01",  # SSL 2
        records(b"\x02\x00\x00\x00"),
        records(b"\x01" + (LONGEST + 1).to_bytes(3)),
        records(b"\x01\x00\x00\x02\x03\x03"),
        records(hello(ciphers=b"")),
        records(hello(ciphers=b"\x13")),
        records(hello(session=bytes(33))),
        records(hello(rest=b"\x00")),
        records(hello(server_name(b"a"), rest=b"x")),
        records(hello(server_name(b"a"), server_name(b"a"))),
        records(hello(server_name())),
        records(hello(server_name(b""))),
        records(hello(server_name(b"a", b"b"))),
        records(hello(server_name(b"a", kind=1))),
        *(
            records(hello(server_name(name)))
            for name in (b".", b"a.", b".a", b"a..b", b"a b", b"a/b", b"-a", b"\xc3\xa4")
        ),
        records(hello(server_name(b"a" * 254))),
        records(hello(extension(0, b"\x00\x01"))),
        records(hello(extension(0, b"\x00\x04\x00\x00\x01aX"))),
        records(hello(extension(16, b"\x00\x00"))),
        records(hello(extension(16, b"\x00\x01\x00"))),
        records(hello(b"\x00")),
    ],
)
def test_what_is_no_client_hello_has_no_name(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parse(raw)


@pytest.mark.parametrize("name", [b"a", b"_sip.a-b.test", b"xn--bcher-kva.test", b"a." * 126 + b"b"])
def test_names_that_there_are(name: bytes) -> None:
    assert understood(records(hello(server_name(name)))).server_name == name.decode()


@given(st.data())
@settings(max_examples=400)
def test_hostile_bytes_are_refused_or_waited_for(draw: st.DataObject) -> None:
    """A mutant is understood, waited for or Malformed; nothing else, and quickly."""
    raw = bytearray(draw.draw(st.sampled_from(SEEDS)))
    for _ in range(draw.draw(st.integers(0, 4))):
        at = draw.draw(st.integers(0, len(raw) - 1))
        if draw.draw(st.booleans()):
            raw[at] = draw.draw(st.integers(0, 255))
        else:
            raw[at : at + 1] = draw.draw(st.binary(max_size=6))
        if not raw:
            return
    try:
        found = parse(bytes(raw))
    except Malformed:
        return
    if found is not None:
        assert len(found.server_name) <= 253
        assert found.server_name.isascii()
        assert found.server_name == found.server_name.lower()
        assert " " not in found.server_name


SEEDS = [
    flight(),
    flight(None, ("h2",), old=True),
    records(flight()[5:], 7),
    records(hello(server_name(b"a.test"), extension(16, b"\x00\x03\x02h2"))),
]
