"""Whatever comes, nothing is raised, nothing grows, and what is let through would be a message in HTTP/1 too."""

from __future__ import annotations

import struct

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import hyperframe.exceptions
from hypothesis import given, settings
from hypothesis import strategies as st

from composemesh.proxy.codec.h2 import (
    ClientConnection,
    StreamReset,
)
from composemesh.proxy.codec.h2.frames import PREFACE
from wire.h2.raw import ACK, GOAWAY, REQUEST, RST_STREAM, Server, block, frame, headers, parse
from wire.h2.raw import settings as settings_frame
from wire.h2.sanity import check_client, check_server

_numbers = st.sampled_from([0, 1, 1, 1, 2, 3, 3, 5, 7, 9, 2**31 - 1])
_bytes = st.binary(max_size=40)
_PSEUDO = [b":method", b":path", b":scheme", b":authority", b":status", b":protocol"]
_NAMES = [
    b"host",
    b"te",
    b"cookie",
    b"x",
    b"content-length",
    b"transfer-encoding",
    b"connection",
    b"X",
    b"",
    b"x\r\ny",
]
_VALUES = [
    b"GET",
    b"POST",
    b"CONNECT",
    b"/",
    b"/a?b",
    b"*",
    b"http",
    b"a:80",
    b"200",
    b"103",
    b"5",
    b"+5",
    b"trailers",
]
_WRONG = [b"", b"/ HTTP/1.1\r\nx: y", b"a\0b", b" a", b"a\n", b"websocket", b"chunked"]
_names, _values = st.sampled_from([*_PSEUDO, *_NAMES]), st.sampled_from([*_VALUES, *_WRONG])
_fields = st.lists(st.tuples(_names, _values), max_size=6)
_some = st.one_of(
    st.just(REQUEST), _fields, _fields.map(lambda more: [*REQUEST, *more]), st.just([(b":status", b"200")]), _fields
)


def _well_formed(
    kind: int, number: int, flags: int, value: int, payload: bytes, fields: list[tuple[bytes, bytes]]
) -> bytes:
    if kind in (1, 9):
        return frame(kind, flags & 5, number, block(fields))
    if kind in (3, 8):
        return frame(kind, flags, number, struct.pack(">L", value))
    if kind == 4:
        return frame(4, flags, 0, struct.pack(">HL", number & 7, value))
    if kind == 6:
        return frame(6, flags, 0, bytes(8))
    return frame(kind, flags, number, payload)


_frames = st.one_of(
    st.builds(frame, st.integers(0, 12), st.integers(0, 255), _numbers, _bytes),
    st.builds(
        _well_formed, st.integers(0, 9), _numbers, st.sampled_from([0, 1, 4, 5]),
        st.sampled_from([0, 1, 100, 16384, 65535, 2**31 - 1]), _bytes, _some,
    ),
    st.builds(headers, _numbers, _some, st.sampled_from([4, 5])),
    st.builds(lambda number, raw: headers(number, raw=raw), _numbers, _bytes),
)  # fmt: skip


@settings(max_examples=400)
@given(st.lists(_frames, max_size=12), st.integers(1, 60))
def test_a_server_bears_anything(frames: list[bytes], piece: int) -> None:
    data = b"".join(frames)
    Server().hear(data)
    check_server(data, piece)


@settings(max_examples=400)
@given(st.lists(_frames, max_size=12))
def test_a_client_bears_anything(frames: list[bytes]) -> None:
    check_client(b"".join(frames))


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_bytes_of_no_meaning(data: bytes) -> None:
    Server(greet=False).hear(data)
    Server().hear(data)
    ClientConnection().receive(data)


@settings(max_examples=300)
@given(st.lists(_frames, max_size=8))
def test_what_h2_refuses_is_refused(frames: list[bytes]) -> None:
    theirs = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
    theirs.initiate_connection()
    theirs.receive_data(PREFACE + settings_frame() + settings_frame(flags=ACK))
    ours = Server(answers=False)
    theirs.data_to_send()
    for one in frames:
        try:
            events = theirs.receive_data(one)
        except (h2.exceptions.ProtocolError, hyperframe.exceptions.HyperframeError):
            ours.hear(one)
            refused = ours.goaway() is not None or bool(ours.resets())
            assert refused or _is_ours_to_ignore(one), one
            return
        ours.hear(one)
        if ours.goaway() is not None or ours.resets():
            return  # we are the stricter, or as strict: from here on the two are in different states
        assert not any(kind in (GOAWAY, RST_STREAM) for kind, *_ in parse(theirs.data_to_send()))
        assert not any(isinstance(event, h2.events.StreamReset) and not event.remote_reset for event in events)
        their_bodies = [event for event in events if isinstance(event, h2.events.RequestReceived)]
        assert len(their_bodies) <= len(ours.requests)
        assert not any(isinstance(event, StreamReset) and not event.remote for event in ours.events)
        if one[3] == GOAWAY:
            return  # for h2 the connection is closed then; by RFC 9113, 6.8 it goes on until its streams have ended


def _is_ours_to_ignore(one: bytes) -> bool:
    """What h2 checks although it is to be ignored: ALTSVC at a server (RFC 7838, 4), and the first bit of a
    WINDOW_UPDATE (RFC 9113, 6.9)."""
    return one[3] == 10 or (one[3] == 8 and one[9:10] >= b"\x80")
