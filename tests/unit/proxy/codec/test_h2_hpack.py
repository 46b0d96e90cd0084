"""Our header compression against hpack's own, and against itself."""

from __future__ import annotations

import hpack
import pytest
from hpack.exceptions import HPACKError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given
from hypothesis import strategies as st

from composemesh.proxy.codec.h2 import huffman
from composemesh.proxy.codec.h2.fields import Unfit
from composemesh.proxy.codec.h2.hpack import LeanDecoder, LeanEncoder

_names = st.sampled_from([b":status", b"content-type", b"x-a", b"x-b", b"grpc-status", b"x-long-" + b"n" * 130])
_values = st.sampled_from(
    [b"200", b"", b"application/grpc", b"v" * 126, b"v" * 127, b"v" * 300, b"v" * 2000]
) | st.binary(max_size=4).map(bytes.hex).map(str.encode)
_field_lists = st.lists(st.lists(st.tuples(_names, _values), max_size=8), max_size=30)


@given(_field_lists)
def test_what_we_encode_hpack_decodes(lists: list[list[tuple[bytes, bytes]]]) -> None:
    encoder, decoder = LeanEncoder(), hpack.Decoder()
    for fields in lists:
        assert list(decoder.decode(encoder.block(fields), raw=True)) == fields


@given(_field_lists, st.booleans())
def test_what_hpack_encodes_we_decode(lists: list[list[tuple[bytes, bytes]]], coded: bool) -> None:
    encoder, decoder = hpack.Encoder(), LeanDecoder(65536)
    for fields in lists:
        assert decoder.decode(encoder.encode(fields, huffman=coded)) == fields


@given(_field_lists, st.lists(st.sampled_from([0, 100, 1000, 4096, 100_000]), min_size=30, max_size=30))
def test_the_table_changes_its_size(lists: list[list[tuple[bytes, bytes]]], sizes: list[int]) -> None:
    encoder, decoder, theirs = LeanEncoder(), LeanDecoder(65536), hpack.Decoder()
    for fields, size in zip(lists, sizes, strict=False):
        encoder.header_table_size = size
        block = encoder.block(fields)
        assert decoder.decode(block) == list(theirs.decode(block, raw=True)) == fields
        assert encoder.header_table.maxsize <= 4096


@given(st.binary(max_size=200))
def test_any_block_decodes_as_it_does_for_hpack_or_not_at_all(block: bytes) -> None:
    ours, theirs = LeanDecoder(65536), hpack.Decoder()
    for _ in range(2):
        try:
            expected = list(theirs.decode(block, raw=True))
        except HPACKError:
            with pytest.raises(HPACKError):
                ours.decode(block)
            return
        assert ours.decode(block) == expected


@given(st.binary(max_size=60))
def test_huffman(text: bytes) -> None:
    coded = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(text)
    assert huffman.decode(coded) == text


def test_what_comes_again_costs_a_byte() -> None:
    encoder = LeanEncoder()
    fields = [(b":status", b"200"), (b"content-type", b"application/grpc"), (b"X-Kind", b"a")]
    sizes = [len(encoder.block(fields)) for _ in range(4)]
    assert sizes[0] > 20
    assert sizes[2:] == [3, 3]


def test_what_never_comes_again_pushes_nothing_out() -> None:
    encoder = LeanEncoder()
    for n in range(1000):
        encoder.block([(b"content-type", b"application/grpc"), (b"x-request-id", b"%d" % n)])
    assert list(encoder.header_table.dynamic_entries) == [(b"content-type", b"application/grpc")]


def test_secrets_enter_no_table() -> None:
    encoder = LeanEncoder()
    for _ in range(3):
        block = encoder.block([(b"authorization", b"Bearer x"), (b"cookie", b"a=b")])
        assert block[0] == 0x1F, "never to be indexed, by anybody (RFC 7541, 6.2.3)"
        assert b"Bearer x" in block
        assert b"a=b" in block


def test_encoding_remembers_only_so_much() -> None:
    encoder = LeanEncoder()
    for n in range(5000):
        name = b"".join(
            bytes((byte & 0xDF,)) if n >> at & 1 else bytes((byte,)) for at, byte in enumerate(b"content-length")
        )
        encoder.block([(name, b""), (b"Host", b"%d" % n)])
    assert len(encoder._encoded) <= 1025
    assert len(encoder._seen) <= 256


def test_encoding_remembers_nothing_large() -> None:
    encoder = LeanEncoder()
    for n in range(50):
        for _ in range(2):
            encoder.block([(b"location", b"%d" % n + b"x" * 60_000)])
    assert not encoder._seen
    assert not encoder._encoded


def test_decoding_remembers_only_so_much() -> None:
    decoder = LeanDecoder(65536)
    for n in range(5000):
        decoder.decode(b"\x00\x01x\x04%04d" % n)
    assert len(decoder._memo) <= 256


def test_an_unfit_field_is_known_again_by_its_index() -> None:
    decoder = LeanDecoder(65536)
    assert not decoder.unfit
    [first] = decoder.decode(b"\x40\x01X\x01y")
    [again] = decoder.decode(b"\xbe")
    assert decoder.unfit
    assert type(first) is type(again) is Unfit
