"""The PROXY protocol's headers: both versions, byte by byte, and nothing that is merely like one."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from composemesh.proxy.codec.parts import Malformed
from composemesh.proxy.codec.proxy_protocol import LONGEST, LONGEST_LINE, SIGNATURE, Stated, encode, parse

V4 = ("192.0.2.7", 4711), ("198.51.100.1", 443)
V6 = ("2001:db8::7", 4711), ("2001:db8::1", 443)
LINE_V4 = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"
LINE_V6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n"
ADDRESSES = bytes([192, 0, 2, 7, 198, 51, 100, 1]) + struct.pack("!HH", 4711, 443)


def v2(payload: bytes = ADDRESSES, *, command: int = 0x21, family: int = 0x11, length: int | None = None) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(payload) if length is None else length) + payload


GOOD = [
    (LINE_V4, V4),
    (LINE_V6, V6),
    (b"PROXY TCP6 2001:DB8:0:0:0:0:0:7 2001:db8::1 4711 443\r\n", V6),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
    (v2(), V4),
    (v2(ADDRESSES + b"\x04\x00\x02no\xea\x00\x00"), V4),  # two extensions
    (v2(b"", command=0x20, family=0x00), None),  # LOCAL: a health check
    (v2(ADDRESSES, command=0x20), None),
    (v2(b"", family=0x00), None),
    (v2(bytes(216), family=0x31), None),  # from a Unix socket
]


@pytest.mark.parametrize(("raw", "ends"), GOOD)
def test_what_a_proxy_says_is_understood_byte_by_byte(raw: bytes, ends: tuple[tuple[str, int], ...] | None) -> None:
    for size in range(len(raw)):
        assert parse(raw[:size]) is None, raw[:size]
    for more in (b"", b"GET / HTTP/1.1\r\n", b"PROXY ", SIGNATURE):
        said = parse(raw + more)
        assert isinstance(said, Stated)
        assert said.size == len(raw)
        assert (said.source, said.destination) == (ends or (None, None))


@pytest.mark.parametrize(
    "raw",
    [
        *(b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"\r\n\r\nPRI", b"proxy TCP4", b"PROXY\tTCP4", b" PROXY", b"\x00"),
        LINE_V4.replace(b"\r\n", b"\n"),
        LINE_V4.replace(b" 4711", b"  4711"),
        LINE_V4.replace(b"4711", b"04711"),
        LINE_V4.replace(b"4711", b"65536"),
        LINE_V4.replace(b"4711", b"+471"),
        LINE_V4.replace(b"192.0.2.7", b"192.0.2.07"),
        LINE_V4.replace(b"192.0.2.7", b"192.0.2"),
        LINE_V4.replace(b"192.0.2.7", b"2001:db8::7"),
        LINE_V4.replace(b"TCP4", b"TCP6"),
        LINE_V4.replace(b"TCP4", b"UDP4"),
        LINE_V4.replace(b"\r\n", b" x\r\n"),
        LINE_V6.replace(b"2001:db8::7", b"fe80::1%eth0"),
        b"PROXY UNKNOWN\x00\r\n",
        b"PROXY UNKNOWN " + b"x" * LONGEST_LINE,
        b"PROXY TCP4 " + b"1" * LONGEST_LINE,
        v2(command=0x11),
        v2(command=0x22),
        v2(family=0x12),  # UDP
        v2(family=0x41),
        v2(ADDRESSES[:-1]),
        v2(family=0x21),  # IPv6, with no room for it
        v2(ADDRESSES + b"\x04"),
        v2(ADDRESSES + b"\x04\x00\x05shor"),
        v2(b"", length=LONGEST),
    ],
)
def test_what_is_merely_like_a_header_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parse(raw)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("ends", [V4, V6])
def test_what_is_written_is_read(version: int, ends: tuple[tuple[str, int], tuple[str, int]]) -> None:
    raw = encode(version, *ends)
    said = parse(raw)
    assert said is not None
    assert (said.source, said.destination, said.size) == (*ends, len(raw))
    assert raw == ({V4: LINE_V4, V6: LINE_V6}[ends] if version == 1 else raw)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("source", [("2001:db8::7", 1), ("unknown", 0), ("db", 5432)])
def test_ends_that_no_header_can_name_are_not_named(version: int, source: tuple[str, int]) -> None:
    said = parse(encode(version, source, V4[1]))
    assert said is not None
    assert said.source is None


_pieces = st.sampled_from(
    [
        LINE_V4,
        LINE_V6,
        v2(),
        v2(ADDRESSES + b"\x04\x00\x02no"),
        SIGNATURE,
        b"PROXY ",
        b"TCP4 ",
        b"\r\n",
        b" ",
        b"65535",
    ]
)


@given(st.lists(st.one_of(_pieces, st.binary(max_size=8)), max_size=6), st.data())
@settings(max_examples=400)
@example([b"\r\n"], None)
def test_hostile_bytes_are_refused_or_waited_for(pieces: list[bytes], draw: st.DataObject | None) -> None:
    """Nothing but Malformed is ever raised, and how the bytes are cut into pieces changes nothing."""
    raw = bytearray(b"".join(pieces))
    if draw is not None and raw:
        raw[draw.draw(st.integers(0, len(raw) - 1))] ^= draw.draw(st.integers(0, 255))
    results = []
    for size in range(len(raw) + 1):
        try:
            said = parse(bytes(raw[:size]))
        except Malformed:
            results.append("refused")
            break
        if said is not None:
            assert said.size == size
            results.append("said")
            break
    try:
        whole = "said" if parse(bytes(raw)) is not None else ""
    except Malformed:
        whole = "refused"
    assert (results[0] if results else "") == whole
