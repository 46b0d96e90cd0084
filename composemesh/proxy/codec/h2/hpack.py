"""Header compression (RFC 7541): hpack's decoder and encoder on a diet.

Decoding walks over the block once. A block that came before decodes to the same fields as long as the dynamic table
stays as it is, so it is looked up whole: responses and trailers mostly are.

Encoding looks up whole fields. Only a field seen for the second time enters the dynamic table, so values that never
come again (request ids, trace ids) cost no work and push nothing out. Nothing is Huffman-coded: that would save bytes
between neighbours and cost more than all the rest.
"""

from __future__ import annotations

import functools
from collections import deque

from hpack.exceptions import HPACKDecodingError, OversizedHeaderListError
from hpack.hpack import Decoder, Encoder, decode_integer, encode_integer
from hpack.table import HeaderTable

from composemesh.proxy.codec.h2 import huffman
from composemesh.proxy.codec.h2.fields import Field, Sensitive, Unfit, is_fit, outgoing

_STATIC: tuple[Field, ...] = ((b"", b""), *HeaderTable.STATIC_TABLE)
"""Counted from 1, as RFC 7541 does."""
_STATIC_NAMES = {name: index for name, (index, _) in HeaderTable.STATIC_TABLE_MAPPING.items()}
_STATIC_FIELDS = {field: index for index, field in reversed([*enumerate(_STATIC)][1:])}
_FIRST_DYNAMIC = len(_STATIC)
_OVERHEAD = 32
"""What an entry costs beside its bytes (RFC 7541, 4.1)."""
_MEMO = 256
"""Entries that a memo may hold before it is emptied."""
_MEMO_FIELDS = 1024
_MEMO_BLOCK = 512
"""Longer blocks are not remembered."""


class LeanDecoder(Decoder):
    """Blocks → fields. The lists it returns are shared: copy, never change them."""

    def __init__(self, max_header_list_size: int) -> None:
        super().__init__(max_header_list_size)
        self.unfit = False
        """Whether any field of any block so far was one that may not travel in HTTP/2, see `fields.Unfit`."""
        self._memo: dict[bytes, list[Field]] = {}

    def decode(self, data: bytes, raw: bool = True) -> list[Field]:  # type: ignore[override]
        """The fields of a block. Raises HPACKError; then the connection cannot go on."""
        fields = self._memo.get(data)
        if fields is None:
            table = self.header_table
            entries = table.dynamic_entries
            self._changed = False
            try:
                fields = self._walk(data, entries)
            except IndexError:
                raise HPACKDecodingError("truncated header block") from None
            if self._changed or table.maxsize > self.max_allowed_table_size:
                self._memo.clear()
                self._assert_valid_table_size()
            elif len(data) <= _MEMO_BLOCK:
                if len(self._memo) >= _MEMO:
                    self._memo.clear()
                self._memo[data] = fields
        return fields

    def _walk(self, data: bytes, entries: deque[Field]) -> list[Field]:
        fields: list[Field] = []
        append = fields.append
        total = at = 0
        size, most = len(data), self.max_header_list_size
        while at < size:
            byte = data[at]
            at += 1
            if byte >= 0x80:  # an entry of the table
                index = byte & 0x7F
                if index == 0x7F:
                    index, at = _integer(data, at - 1, 7)
                if index < _FIRST_DYNAMIC:
                    if not index:
                        raise HPACKDecodingError("index 0")
                    field = _STATIC[index]
                else:
                    field = entries[index - _FIRST_DYNAMIC]
                name, value = field
            elif byte & 0xE0 == 0x20:
                if fields:
                    raise HPACKDecodingError("table size update not at the start of the block")
                at += self._update_encoding_context(data[at - 1 : at + 8]) - 1
                self._changed = True
                continue
            else:
                if byte >= 0x40:
                    index = byte & 0x3F
                    if index == 0x3F:
                        index, at = _integer(data, at - 1, 6)
                else:
                    index = byte & 0x0F
                    if index == 0x0F:
                        index, at = _integer(data, at - 1, 4)
                if index:
                    name = (_STATIC[index] if index < _FIRST_DYNAMIC else entries[index - _FIRST_DYNAMIC])[0]
                else:
                    name, at = _string(data, at)
                length = data[at]
                if length < 0x7F:
                    value = data[at + 1 : at + 1 + length]
                    at += 1 + length
                else:
                    value, at = _string(data, at)
                if at > size:
                    raise HPACKDecodingError("truncated header block")
                if is_fit(name, value):
                    field = Sensitive((name, value)) if byte & 0xF0 == 0x10 else (name, value)
                else:
                    field = Unfit((name, value))
                    self.unfit = True
                if byte >= 0x40:
                    self._add(field)
                    self._changed = True
            append(field)
            total += _OVERHEAD + len(name) + len(value)
            if total > most:
                raise OversizedHeaderListError(f"a header list larger than {most}")
        return fields

    def _add(self, field: Field) -> None:
        """Add it to the table; as what it is, so that Unfit is known again when an index stands for it."""
        self.header_table.add(*field)
        if type(field) is Unfit and self.header_table.dynamic_entries:
            self.header_table.dynamic_entries[0] = field


def _integer(data: bytes, at: int, prefix: int) -> tuple[int, int]:
    """An integer and where it ends (RFC 7541, 5.1)."""
    value, consumed = decode_integer(data[at : at + 8], prefix)
    return value, at + consumed


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    """A string and where it ends (RFC 7541, 5.2)."""
    first = data[at]
    length = first & 0x7F
    if length == 0x7F:
        length, at = _integer(data, at, 7)
    else:
        at += 1
    end = at + length
    if end > len(data):
        raise HPACKDecodingError("truncated header block")
    raw = data[at:end]
    if first < 0x80:
        return raw, end
    return huffman.decode(raw), end


class _Encoded(dict[Field, bytes]):
    """Field → its bytes, valid as long as the dynamic table stays as it is."""

    __slots__ = ("encoder",)

    encoder: LeanEncoder

    def __missing__(self, field: Field) -> bytes:
        return self.encoder.encode_field(field)


class LeanEncoder(Encoder):
    """Fields → blocks. Names are lowered, and what may not travel in HTTP/2 is left out."""

    def __init__(self) -> None:
        super().__init__()
        self._encoded = _Encoded()
        self._encoded.encoder = self
        self._bytes_of = self._encoded.__getitem__
        self._dynamic: dict[Field, int] = {}
        """The dynamic table: entry → index."""
        self._seen: set[Field] = set()
        """Fields that came once."""

    @property
    def header_table_size(self) -> int:
        """Bytes of the dynamic table: what the peer allows, but never more than the default."""
        return self.header_table.maxsize

    @header_table_size.setter
    def header_table_size(self, value: int) -> None:
        value = min(value, HeaderTable.DEFAULT_SIZE)
        self.header_table.maxsize = value
        if self.header_table.resized:
            self.table_size_changes.append(value)

    def block(self, fields: list[Field]) -> bytes:
        """The block for these fields."""
        if self.table_size_changes:
            self._moved()
            return self._encode_table_size_change() + b"".join(map(self._bytes_of, fields))
        return b"".join(map(self._bytes_of, fields))

    def encode_field(self, field: Field) -> bytes:
        """The bytes for one field that is not remembered."""
        encoded = self._encoded
        if len(encoded) >= _MEMO_FIELDS:
            encoded.clear()
        known = outgoing(field)
        if known is None:
            if len(field[1]) < 64:
                encoded[field] = b""
            return b""
        name, value = known
        if type(known) is Sensitive:
            return self._literal(name, value, 0x10, 4)
        index = _STATIC_FIELDS.get(known) or self._dynamic.get(known)
        if index is not None:
            once = encoded[field] = _first_bits(index, 7, 0x80)
            return once
        if _OVERHEAD + len(name) + len(value) > self.header_table.maxsize // 4:
            return self._literal(name, value, 0x00, 4)  # nor is it remembered: 256 of them may be 16 MB
        if known not in self._seen:
            if len(self._seen) >= _MEMO:
                self._seen.clear()
            self._seen.add(known)
            return self._literal(name, value, 0x00, 4)
        self._seen.discard(known)
        once = self._literal(name, value, 0x40, 6)
        self.header_table.add(name, value)
        self._moved()
        return once

    def _moved(self) -> None:
        """The dynamic table has changed, and what stood for its entries stands for others now."""
        self._encoded.clear()
        self._dynamic = {entry: _FIRST_DYNAMIC + at for at, entry in enumerate(self.header_table.dynamic_entries)}

    def _literal(self, name: bytes, value: bytes, bits: int, prefix: int) -> bytes:
        """A field spelled out (RFC 7541, 6.2), its name by index where the table has it."""
        index = _STATIC_NAMES.get(name)
        if index is None:
            return b"%c%b%b%b%b" % (bits, _length(len(name)), name, _length(len(value)), value)
        return b"%b%b%b" % (_first_bits(index, prefix, bits), _length(len(value)), value)


_LENGTHS = [bytes((size,)) for size in range(0x7F)]


def _length(size: int) -> bytes:
    return _LENGTHS[size] if size < 0x7F else bytes(encode_integer(size, 7))


@functools.cache
def _first_bits(number: int, prefix: int, bits: int) -> bytes:
    coded = encode_integer(number, prefix)
    coded[0] |= bits
    return bytes(coded)
