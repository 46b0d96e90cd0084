"""Huffman decoding (RFC 7541, 5.2) by whole bytes: hpack's table of half bytes, two steps taken at once.

What follows a byte is worked out when it is first met, so the table grows to what the traffic needs.
"""

from __future__ import annotations

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_table import HUFFMAN_COMPLETE, HUFFMAN_EMIT_SYMBOL, HUFFMAN_FAIL, HUFFMAN_TABLE


class _Step(dict[int, tuple["_Step", bytes, bool]]):
    """Where a code has come so far; byte → where that leads, what it spells, and whether all may end there."""

    __slots__ = ("state",)

    def __init__(self, state: int) -> None:
        self.state = state

    def __missing__(self, byte: int) -> tuple[_Step, bytes, bool]:
        state, text, flags = self.state, b"", 0
        for half in (byte >> 4, byte & 0x0F):
            state, flags, symbol = HUFFMAN_TABLE[state * 16 + half]
            if flags & HUFFMAN_FAIL:
                raise HPACKDecodingError("invalid Huffman code")
            if flags & HUFFMAN_EMIT_SYMBOL:
                text += bytes((symbol,))
        after = self[byte] = (_steps[state], text, flags & HUFFMAN_COMPLETE != 0)
        return after


_steps = [_Step(state) for state in range(256)]


def decode(coded: bytes) -> bytes:
    """The text of a Huffman-coded string. Raises HPACKDecodingError."""
    step, complete = _steps[0], True
    texts: list[bytes] = []
    for byte in coded:
        step, text, complete = step[byte]
        texts.append(text)
    if not complete:
        raise HPACKDecodingError("incomplete Huffman code")
    return b"".join(texts)
