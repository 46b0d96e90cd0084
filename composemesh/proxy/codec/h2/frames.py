"""Frames as bytes (RFC 9113, 4.1 and 6): what is needed of them where a frame is not worth an object."""

from __future__ import annotations

import struct
from typing import Final

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER = 9
"""Bytes before a frame's payload: length (24 bits), type (8), flags (8), stream (32, the first is ignored)."""

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

NAMES = (
    "DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS",
    "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION",
)  # fmt: skip

ACK = END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

HIGHEST_STREAM = 2**31 - 1
LARGEST_WINDOW = 2**31 - 1


class Code:
    """Error codes (RFC 9113, 7): what RST_STREAM and GOAWAY say."""

    NO_ERROR: Final = 0x0
    PROTOCOL_ERROR: Final = 0x1
    INTERNAL_ERROR: Final = 0x2
    FLOW_CONTROL_ERROR: Final = 0x3
    SETTINGS_TIMEOUT: Final = 0x4
    STREAM_CLOSED: Final = 0x5
    FRAME_SIZE_ERROR: Final = 0x6
    REFUSED_STREAM: Final = 0x7
    CANCEL: Final = 0x8
    COMPRESSION_ERROR: Final = 0x9
    CONNECT_ERROR: Final = 0xA
    ENHANCE_YOUR_CALM: Final = 0xB
    INADEQUATE_SECURITY: Final = 0xC
    HTTP_1_1_REQUIRED: Final = 0xD


_header = struct.Struct(">HBBBL")
read_header = _header.unpack_from
"""Of bytes at an offset: length >> 8, length & 255, type, flags, stream with the ignored bit."""
_number = struct.Struct(">L").pack
_window_update = struct.Struct(">HBBBLL").pack


def header(length: int, kind: int, flags: int, stream: int, _pack: struct.Struct = _header) -> bytes:
    """What stands before the payload of a frame."""
    return _pack.pack(length >> 8, length & 0xFF, kind, flags, stream)


def window_update(stream: int, increment: int) -> bytes:
    return _window_update(0, 4, WINDOW_UPDATE, 0, stream, increment)


def rst_stream(stream: int, code: int) -> bytes:
    return _window_update(0, 4, RST_STREAM, 0, stream, code)


def goaway(last: int, code: int, debug: bytes = b"") -> bytes:
    return header(8 + len(debug), GOAWAY, 0, 0) + _number(last) + _number(code) + debug


def ping(opaque: bytes, flags: int = 0) -> bytes:
    return header(8, PING, flags, 0) + opaque


def known_settings(stream: int, flags: int, pairs: bytes) -> bytes:
    """A SETTINGS frame as it came, without the settings that nobody here knows (RFC 9113, 6.5.2: ignore them).

    h2 would keep them all, up to 65,536 for each connection.
    """
    if len(pairs) % 6 == 0:
        known = (pairs[at : at + 6] for at in range(0, len(pairs), 6))
        pairs = b"".join(pair for pair in known if pair[0] == 0 and pair[1] <= 8)
    return header(len(pairs), SETTINGS, flags, stream) + pairs


def headers(stream: int, block: bytes, end: bool, longest: int) -> bytes:
    """HEADERS, and CONTINUATION where the block is longer than the peer takes in one frame."""
    flags = END_STREAM if end else 0
    if len(block) <= longest:
        return header(len(block), HEADERS, flags | END_HEADERS, stream) + block
    frames = [header(longest, HEADERS, flags, stream), block[:longest]]
    for at in range(longest, len(block), longest):
        piece = block[at : at + longest]
        last = END_HEADERS if at + longest >= len(block) else 0
        frames += [header(len(piece), CONTINUATION, last, stream), piece]
    return b"".join(frames)
