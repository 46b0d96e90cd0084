# ruff: noqa: E501 - a case a line
"""The cases of h2spec (generic, http2, hpack), written anew from the RFCs. RFC 9113's sections, `h` those of RFC 7541.

A case is what a client sends once the connection is set up, and what must come of it: `Served`, `Lives` (nothing bad
happens), `Ends` (GOAWAY with one of these codes), `Resets` (RST_STREAM with one of these codes, or `Ends` with them:
an endpoint may always treat a stream's error as the connection's, 5.4.1).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from wire.h2.raw import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    PADDED,
    PING,
    POST,
    PRIORITY,
    PUSH_PROMISE,
    REQUEST,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    block,
    frame,
    headers,
    priority,
    rst,
    settings,
    window_update,
)

PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR, COMPRESSION_ERROR = 1, 3, 5, 6, 9
REFUSED_STREAM = 7


@dataclass(frozen=True)
class Served:
    """The request on this stream gets its answer."""

    stream: int = 1


@dataclass(frozen=True)
class Lives:
    """The connection goes on, a request later is answered."""


@dataclass(frozen=True)
class Ends:
    codes: tuple[int, ...]


@dataclass(frozen=True)
class Resets:
    stream: int
    codes: tuple[int, ...]


@dataclass(frozen=True)
class Case:
    section: str
    title: str
    sent: bytes
    outcome: Served | Lives | Ends | Resets


def _case(section: str, title: str, *sent: bytes, to: Served | Lives | Ends | Resets) -> Case:
    return Case(section, title, b"".join(sent), to)


OPEN = headers(1, POST, END_HEADERS)
"""A request whose body is to come."""
DONE = headers(1)
"""A request, whole, and so half-closed (remote) as long as it is not answered, closed after."""
RESET = OPEN + rst(1)
"""A stream that was reset."""
BLOCK = block(REQUEST)
LONG = [(b"x-dummy-%d" % n, b"x" * 100) for n in range(8)]
END = frame(DATA, END_STREAM, 1, b"")


def _pad(payload: bytes, length: int, claimed: int | None = None) -> bytes:
    return bytes([length if claimed is None else claimed]) + payload + bytes(length)


def _with(*fields: tuple[bytes, bytes], start: list[tuple[bytes, bytes]] = REQUEST) -> bytes:
    return headers(1, [*start, *fields])


def _without(name: bytes) -> list[tuple[bytes, bytes]]:
    return [field for field in REQUEST if field[0] != name]


_WRONG, _SIZE, _FLOW = Ends((PROTOCOL_ERROR,)), Ends((FRAME_SIZE_ERROR,)), Ends((FLOW_CONTROL_ERROR,))

GENERIC = [
    _case("5.1", "PRIORITY on an idle stream", priority(1), DONE, to=Served()),
    _case("5.1", "WINDOW_UPDATE on a half-closed (remote) stream", DONE, window_update(1, 100), to=Served()),
    _case("5.1", "PRIORITY on a half-closed (remote) stream", DONE, priority(1), to=Lives()),
    _case("5.1", "RST_STREAM on a half-closed (remote) stream", DONE, rst(1), to=Lives()),
    _case("5.1", "PRIORITY on a closed stream", DONE, priority(1), to=Lives()),
    _case("6.1", "a DATA frame", OPEN, frame(DATA, END_STREAM, 1, b"test"), to=Served()),
    _case("6.1", "several DATA frames", OPEN, frame(DATA, 0, 1, b"test!") * 2, END, to=Served()),
    _case("6.1", "DATA with padding", OPEN, frame(DATA, END_STREAM | PADDED, 1, _pad(b"test", 6)), to=Served()),
    _case("6.2", "a HEADERS frame", DONE, to=Served()),
    _case("6.2", "HEADERS with padding", headers(1, flags=13, raw=_pad(BLOCK, 6)), to=Served()),
    _case("6.2", "HEADERS with a priority", headers(1, flags=37, raw=struct.pack(">LB", 0, 255) + BLOCK), to=Served()),
    _case("6.2", "HEADERS with both", headers(1, flags=45, raw=_pad(struct.pack(">LB", 0, 9) + BLOCK, 3)), to=Served()),
    _case("6.3", "PRIORITY with weight 1", priority(1, weight=0), DONE, to=Served()),
    _case("6.3", "PRIORITY with weight 256", priority(1, weight=255), DONE, to=Served()),
    _case("6.3", "PRIORITY with a dependency", priority(1, on=3), DONE, to=Served()),
    _case("6.3", "PRIORITY with an exclusive dependency", priority(1, on=3 | 1 << 31), DONE, to=Served()),
    _case("6.3", "PRIORITY of a stream, then HEADERS of a lower", priority(3), DONE, to=Served()),
    _case("6.4", "RST_STREAM", OPEN, rst(1), to=Lives()),
    _case("6.5", "SETTINGS", settings((3, 100), (4, 65535), (5, 16384)), DONE, to=Served()),
    _case("6.7", "PING", frame(PING, 0, 0, b"h2spec!!"), DONE, to=Served()),
    _case("6.8", "GOAWAY of a client that goes on", DONE, frame(GOAWAY, 0, 0, struct.pack(">LL", 0, 0)), to=Served()),
    _case("6.9", "WINDOW_UPDATE of the connection", window_update(0, 1), DONE, to=Served()),
    _case("6.9", "WINDOW_UPDATE of a stream", OPEN, window_update(1, 1), END, to=Served()),
    _case(
        "6.10", "CONTINUATION", headers(1, flags=END_STREAM, raw=BLOCK[:9]),
        frame(CONTINUATION, END_HEADERS, 1, BLOCK[9:]), to=Served(),
    ),
    _case(
        "6.10", "several CONTINUATION frames", headers(1, flags=END_STREAM, raw=BLOCK[:9]),
        frame(CONTINUATION, 0, 1, BLOCK[9:12]), frame(CONTINUATION, END_HEADERS, 1, BLOCK[12:]), to=Served(),
    ),
    _case("8.1", "GET", DONE, to=Served()),
    _case("8.1", "POST", OPEN, frame(DATA, END_STREAM, 1, b"test"), to=Served()),
    _case("8.1", "POST with trailers", OPEN, frame(DATA, 0, 1, b"test!"), headers(1, [(b"x-test", b"ok")]), to=Served()),
]  # fmt: skip

FRAMES = [
    _case("4.1", "a frame of an unknown type", frame(0xFF, 0xFF, 0, b"12345678"), DONE, to=Served()),
    _case("4.1", "undefined flags", frame(PING, 0x16, 0, b"12345678"), DONE, to=Served()),
    _case("4.1", "the reserved bit", frame(PING, 0, 1 << 31, b"12345678"), DONE, to=Served()),
    _case("4.2", "DATA of 2^14 bytes", OPEN, frame(DATA, END_STREAM, 1, b"x" * 16384), to=Served()),
    _case("4.2", "longer DATA", OPEN, frame(DATA, 0, 1, b"x" * 16385), to=Resets(1, (FRAME_SIZE_ERROR,))),
    _case("4.2", "longer HEADERS", headers(1, raw=b"x" * 16385), to=_SIZE),
    _case("4.3", "a block that does not decode", headers(1, raw=b"\x0f\xff\xff"), to=Ends((COMPRESSION_ERROR,))),
    _case("4.3", "PRIORITY inside a block", headers(1, flags=0), priority(1), to=_WRONG),
    _case("4.3", "HEADERS of another stream inside a block", headers(1, flags=0), headers(3), to=_WRONG),
    _case("5.5", "an unknown frame", frame(0xFF, 0, 0, b"x"), frame(PING, 0, 0, b"12345678"), to=Lives()),
    _case("5.5", "an unknown frame inside a block", headers(1, flags=0), frame(0xFF, 0, 1), to=_WRONG),
]  # fmt: skip

_CLOSED = (STREAM_CLOSED,)
_CLOSED_OR_WRONG = (STREAM_CLOSED, PROTOCOL_ERROR)
STREAMS = [
    _case("5.1", "idle: DATA", frame(DATA, END_STREAM, 1, b"test"), to=_WRONG),
    _case("5.1", "idle: RST_STREAM", rst(1), to=_WRONG),
    _case("5.1", "idle, after another stream: RST_STREAM", DONE, rst(3), to=_WRONG),
    _case("5.1", "idle: WINDOW_UPDATE", window_update(1, 100), to=_WRONG),
    _case("5.1", "idle: CONTINUATION", frame(CONTINUATION, END_HEADERS, 1, BLOCK), to=_WRONG),
    _case("5.1", "half-closed (remote): DATA", DONE, frame(DATA, END_STREAM, 1, b"test"), to=Resets(1, _CLOSED)),
    _case("5.1", "half-closed (remote): HEADERS", DONE, DONE, to=Resets(1, _CLOSED)),
    _case(
        "5.1", "half-closed (remote): CONTINUATION", DONE, frame(CONTINUATION, END_HEADERS, 1, BLOCK),
        to=Resets(1, _CLOSED_OR_WRONG),
    ),
    _case("5.1", "closed by RST_STREAM: DATA", RESET, frame(DATA, END_STREAM, 1, b"test"), to=Resets(1, _CLOSED)),
    _case("5.1", "closed by RST_STREAM: HEADERS", RESET, DONE, to=Resets(1, _CLOSED)),
    _case(
        "5.1", "closed by RST_STREAM: CONTINUATION", RESET, frame(CONTINUATION, END_HEADERS, 1, BLOCK),
        to=Resets(1, _CLOSED_OR_WRONG),
    ),
    _case("5.1.1", "a stream of an even number", headers(2), to=_WRONG),
    _case("5.1.1", "a stream of a lower number", headers(5), headers(3), to=Ends((PROTOCOL_ERROR, STREAM_CLOSED))),
    _case(
        "5.1.2", "more streams than allowed", *(headers(n, POST, END_HEADERS) for n in range(1, 203, 2)),
        to=Resets(201, (PROTOCOL_ERROR, REFUSED_STREAM)),
    ),
    _case(
        "5.3.1 (RFC 7540)", "HEADERS that depend on themselves",
        headers(1, flags=37, raw=struct.pack(">LB", 1, 255) + BLOCK), to=Resets(1, (PROTOCOL_ERROR,)),
    ),
    _case("5.3.1 (RFC 7540)", "PRIORITY that depends on itself", priority(1, on=1), to=Resets(1, (PROTOCOL_ERROR,))),
    _case("5.4.1", "a PING of a wrong size", frame(PING, 0, 0, b"123456"), to=_SIZE),
]  # fmt: skip

DEFINITIONS = [
    _case("6.1", "DATA of no stream", frame(DATA, END_STREAM, 0, b"test"), to=_WRONG),
    _case("6.1", "DATA on a stream not open", DONE, frame(DATA, END_STREAM, 1, b"test"), to=Resets(1, _CLOSED)),
    _case("6.1", "DATA with too much padding", OPEN, frame(DATA, 9, 1, _pad(b"test", 6, 255)), to=_WRONG),
    _case("6.1", "padded DATA without a length of padding", OPEN, frame(DATA, 9, 1), to=_SIZE),
    _case("6.2", "a block that PRIORITY breaks", headers(1, flags=0), priority(1), to=_WRONG),
    _case("6.2", "a block that HEADERS break", headers(1, flags=0), headers(3), to=_WRONG),
    _case("6.2", "HEADERS of no stream", headers(0), to=_WRONG),
    _case("6.2", "HEADERS with too much padding", headers(1, flags=13, raw=_pad(BLOCK, 6, 255)), to=_WRONG),
    _case("6.2", "HEADERS too short for a priority", headers(1, flags=37, raw=b"\x82"), to=_SIZE),
    _case("6.3", "PRIORITY of no stream", priority(0), to=_WRONG),
    _case("6.3", "PRIORITY of a wrong size", frame(PRIORITY, 0, 1, b"1234"), to=Resets(1, (FRAME_SIZE_ERROR,))),
    _case("6.4", "RST_STREAM of no stream", rst(0), to=_WRONG),
    _case("6.4", "RST_STREAM of an idle stream", rst(1), to=_WRONG),
    _case("6.4", "RST_STREAM of a wrong size", OPEN, frame(RST_STREAM, 0, 1, b"123"), to=_SIZE),
    _case("6.5", "SETTINGS, acknowledged with a payload", settings((3, 1), flags=ACK), to=_SIZE),
    _case("6.5", "SETTINGS of a stream", settings((3, 1), stream=1), to=_WRONG),
    _case("6.5", "SETTINGS of a wrong size", frame(SETTINGS, 0, 0, b"123"), to=_SIZE),
    _case("6.5.2", "ENABLE_PUSH of 2", settings((2, 2)), to=_WRONG),
    _case("6.5.2", "INITIAL_WINDOW_SIZE of 2^31", settings((4, 1 << 31)), to=_FLOW),
    _case("6.5.2", "MAX_FRAME_SIZE of 2^14 - 1", settings((5, 16383)), to=_WRONG),
    _case("6.5.2", "MAX_FRAME_SIZE of 2^24", settings((5, 1 << 24)), to=_WRONG),
    _case("6.5.2", "an unknown setting", settings((0xFF, 1)), frame(PING, 0, 0, b"12345678"), to=Lives()),
    _case("3 (RFC 8441)", "ENABLE_CONNECT_PROTOCOL of 2", settings((8, 2)), to=_WRONG),
    _case("6.7", "PING of a stream", frame(PING, 0, 1, b"12345678"), to=_WRONG),
    _case("6.7", "PING of a wrong size", frame(PING, 0, 0, b"123456"), to=_SIZE),
    _case("6.8", "GOAWAY of a stream", frame(GOAWAY, 0, 1, bytes(8)), to=_WRONG),
    _case("6.8", "GOAWAY too short", frame(GOAWAY, 0, 0, bytes(7)), to=_SIZE),
    _case("6.9", "the connection's window by 0", window_update(0, 0), to=_WRONG),
    _case("6.9", "a stream's window by 0", OPEN, window_update(1, 0), to=Resets(1, (PROTOCOL_ERROR,))),
    _case("6.9", "WINDOW_UPDATE of a wrong size", frame(WINDOW_UPDATE, 0, 0, b"123"), to=_SIZE),
    _case("6.9.1", "the connection's window beyond 2^31 - 1", window_update(0, 2**31 - 1) * 2, to=_FLOW),
    _case("6.9.1", "a stream's window beyond it", OPEN, window_update(1, 2**31 - 1) * 2, to=Resets(1, (FLOW_CONTROL_ERROR,))),
    _case(
        "6.9.2", "a stream's window beyond it by SETTINGS", OPEN, window_update(1, 2**31 - 1 - 65535),
        settings((4, 65536)), to=_FLOW,
    ),
    _case(
        "6.10", "a block that CONTINUATION, then PRIORITY, breaks", headers(1, flags=0), frame(CONTINUATION, 0, 1),
        priority(1), to=_WRONG,
    ),
    _case("6.10", "CONTINUATION of no stream", headers(1, flags=0), frame(CONTINUATION, 4, 0), to=_WRONG),
    _case("6.10", "CONTINUATION after a whole block", OPEN, frame(CONTINUATION, 4, 1, BLOCK), to=_WRONG),
    _case(
        "6.10", "CONTINUATION after the last", headers(1, POST, 0), frame(CONTINUATION, 4, 1) * 2,
        to=_WRONG,
    ),
    _case(
        "6.10", "CONTINUATION after DATA", OPEN, frame(DATA, 0, 1, b"test!"), frame(CONTINUATION, 4, 1, BLOCK),
        to=_WRONG,
    ),
    _case("7", "GOAWAY of an unknown code", frame(GOAWAY, 0, 0, struct.pack(">LL", 0, 255)), to=Lives()),
    _case("7", "RST_STREAM of an unknown code", OPEN, rst(1, 255), to=Lives()),
    _case("8.4", "PUSH_PROMISE of a client", OPEN, frame(PUSH_PROMISE, 4, 1, bytes(3) + b"\x02" + BLOCK), to=_WRONG),
]  # fmt: skip

_MALFORMED = Resets(1, (PROTOCOL_ERROR,))
MESSAGES = [
    _case("8.1", "a second HEADERS frame without the end", OPEN, headers(1, [(b"x-test", b"ok")], END_HEADERS), to=_MALFORMED),
    _case("8.2.1", "a name with a capital", _with((b"X-TEST", b"ok")), to=_MALFORMED),
    _case("8.2.1", "a name with a blank", _with((b"x test", b"ok")), to=_MALFORMED),
    _case("8.2.1", "no name", _with((b"", b"ok")), to=_MALFORMED),
    _case("8.2.1", "a name with a colon", _with((b"x:test", b"ok")), to=_MALFORMED),
    _case("8.2.1", "a value with NUL", _with((b"x-test", b"a\0b")), to=_MALFORMED),
    _case("8.2.1", "a value with CR", _with((b"x-test", b"a\rb")), to=_MALFORMED),
    _case("8.2.1", "a value with LF", _with((b"x-test", b"a\nb")), to=_MALFORMED),
    _case("8.2.1", "a value that begins with a blank", _with((b"x-test", b" ok")), to=_MALFORMED),
    _case("8.2.1", "a value that ends with a tab", _with((b"x-test", b"ok\t")), to=_MALFORMED),
    _case("8.3", "an unknown pseudo-field", headers(1, [*REQUEST, (b":test", b"ok")]), to=_MALFORMED),
    _case("8.3", "a response's pseudo-field", headers(1, [*REQUEST, (b":status", b"200")]), to=_MALFORMED),
    _case("8.3", "a pseudo-field among the trailers", OPEN, headers(1, [(b":method", b"GET")]), to=_MALFORMED),
    _case("8.3", "a pseudo-field after a field", headers(1, [*_without(b":path"), (b"x", b"y"), (b":path", b"/")]), to=_MALFORMED),
    _case("8.2.2", "a field for one connection", _with((b"connection", b"keep-alive")), to=_MALFORMED),
    _case("8.2.2", "Keep-Alive", _with((b"keep-alive", b"5")), to=_MALFORMED),
    _case("8.2.2", "Proxy-Connection", _with((b"proxy-connection", b"close")), to=_MALFORMED),
    _case("8.2.2", "Transfer-Encoding", _with((b"transfer-encoding", b"chunked")), to=_MALFORMED),
    _case("8.2.2", "Upgrade", _with((b"upgrade", b"websocket")), to=_MALFORMED),
    _case("8.2.2", "TE other than trailers", _with((b"te", b"trailers, deflate")), to=_MALFORMED),
    _case("8.2.2", "TE: trailers", _with((b"te", b"trailers")), to=Served()),
    _case("8.3.1", "an empty :path", headers(1, [*_without(b":path"), (b":path", b"")]), to=_MALFORMED),
    _case("8.3.1", "no :method", headers(1, _without(b":method")), to=_MALFORMED),
    _case("8.3.1", "no :scheme", headers(1, _without(b":scheme")), to=_MALFORMED),
    _case("8.3.1", "no :path", headers(1, _without(b":path")), to=_MALFORMED),
    _case("8.3.1", "two :method", headers(1, [(b":method", b"GET"), *REQUEST]), to=_MALFORMED),
    _case("8.3.1", "two :scheme", headers(1, [(b":scheme", b"http"), *REQUEST]), to=_MALFORMED),
    _case("8.3.1", "two :path", headers(1, [(b":path", b"/"), *REQUEST]), to=_MALFORMED),
    _case("8.3.1", "two :authority", headers(1, [(b":authority", b"reviews:9080"), *REQUEST]), to=_MALFORMED),
    _case("8.3.1", ":authority and another Host", _with((b"host", b"ratings:9080")), to=_MALFORMED),
    _case("8.3.1", ":authority and the same Host", _with((b"host", b"reviews:9080")), to=Served()),
    _case("8.3.1", "Host alone", headers(1, [*_without(b":authority"), (b"host", b"reviews:9080")]), to=Served()),
    _case("8.3.1", "nobody asked", headers(1, _without(b":authority")), to=_MALFORMED),
    _case("8.3.1", "a :path with a blank", headers(1, [*_without(b":path"), (b":path", b"/a b")]), to=_MALFORMED),
    _case("8.3.1", "a :path that is none", headers(1, [*_without(b":path"), (b":path", b"a")]), to=_MALFORMED),
    _case("8.3.1", "a :method that is no token", headers(1, [(b":method", b"GET /"), *REQUEST[1:]]), to=_MALFORMED),
    _case("8.3.1", "userinfo in :authority", headers(1, [*_without(b":authority"), (b":authority", b"u@h")]), to=_MALFORMED),
    _case("8.5", "CONNECT with a path", headers(1, [(b":method", b"CONNECT"), *REQUEST[1:]]), to=_MALFORMED),
    _case("8.1.1", "less body than its Content-Length", headers(1, [*POST, (b"content-length", b"5")], 4),
          frame(DATA, END_STREAM, 1, b"test"), to=_MALFORMED),
    _case("8.1.1", "more body than its Content-Length", headers(1, [*POST, (b"content-length", b"1")], 4),
          frame(DATA, 0, 1, b"te"), frame(DATA, END_STREAM, 1, b"st"), to=_MALFORMED),
    _case("8.1.1", "no body, but a Content-Length", _with((b"content-length", b"5")), to=_MALFORMED),
    _case("8.1.1", "trailers before the body's end", headers(1, [*POST, (b"content-length", b"5")], 4),
          headers(1, [(b"x-test", b"ok")]), to=_MALFORMED),
    _case("8.1.1", "two lengths", _with((b"content-length", b"0"), (b"content-length", b"0")), to=_MALFORMED),
    _case("8.1.1", "a length with a sign", _with((b"content-length", b"+0")), to=_MALFORMED),
]  # fmt: skip

_BAD_BLOCK = Ends((COMPRESSION_ERROR,))
HPACK = [
    _case("2.3.3h", "an index beyond the tables", headers(1, raw=BLOCK + b"\xc6"), to=_BAD_BLOCK),
    _case("2.3.3h", "a name by an index beyond them", headers(1, raw=BLOCK + b"\x7f\x07\x01x"), to=_BAD_BLOCK),
    _case("4.2h", "a table size at the end of a block", headers(1, raw=BLOCK + b"\x21"), to=_BAD_BLOCK),
    _case("4.2h", "two table sizes at the beginning", headers(1, raw=b"\x20\x3f\xe1\x1f" + BLOCK), to=Served()),
    _case("5.1h", "an integer without end", headers(1, raw=b"\xff" + b"\xff" * 20), to=_BAD_BLOCK),
    _case("5.2h", "padding longer than 7 bits", headers(1, raw=BLOCK + b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"), to=_BAD_BLOCK),
    _case("5.2h", "padding of zeros", headers(1, raw=BLOCK + b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"), to=_BAD_BLOCK),
    _case("5.2h", "the end symbol", headers(1, raw=BLOCK + b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f"), to=_BAD_BLOCK),
    _case("5.2h", "a string longer than its block", headers(1, raw=BLOCK + b"\x00\x05x"), to=_BAD_BLOCK),
    _case("6.1h", "index 0", headers(1, raw=BLOCK + b"\x80"), to=_BAD_BLOCK),
    _case("6.1h", "an indexed field", headers(1, raw=b"\x82\x86\x84" + block(REQUEST[3:])), to=Served()),
    _case("6.2h", "literals with indexing, then by index",
          headers(1, raw=b"\x82\x86\x84\x41\x01a"), headers(3, raw=b"\x82\x86\x84\xbe"), to=Served(3)),
    _case("6.2h", "a new name with indexing", headers(1, raw=BLOCK + b"\x40\x01x\x01y"), to=Served()),
    _case("6.2h", "a new name without indexing", headers(1, raw=BLOCK + b"\x00\x01x\x01y"), to=Served()),
    _case("6.2h", "Huffman-coded strings", headers(1, raw=block(REQUEST, huffman=True)), to=Served()),
    _case("6.3h", "a table size beyond the setting", headers(1, raw=b"\x3f\xe2\x1f" + BLOCK), to=_BAD_BLOCK),
    _case("6.3h", "a table size", headers(1, raw=b"\x3f\xe1\x1f" + BLOCK), to=Served()),
]  # fmt: skip

CASES = [*GENERIC, *FRAMES, *STREAMS, *DEFINITIONS, *MESSAGES, *HPACK]
