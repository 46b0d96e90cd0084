"""The lengths of frames are judged when they are announced, however the bytes come."""

from __future__ import annotations

import pytest
from h2.errors import ErrorCodes
from h2.exceptions import FrameTooLargeError
from hyperframe.frame import DataFrame, PingFrame, SettingsFrame

from composemesh.xds.frames import HEADER, MOST_BYTES, PREFACE, Frames

HONEST = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    + SettingsFrame(0, {4: 1000}).serialize()
    + SettingsFrame(0).serialize()
    + DataFrame(1, b"\xff" * MOST_BYTES).serialize()
    + PingFrame(0, b"\xff" * 8).serialize()
)
SIZES = (1, 2, 3, 5, 8, 9, 10, 24, 1000, 1 << 20)


def fed(data: bytes, size: int) -> int:
    """How many bytes pass, in pieces of a size, before one is refused."""
    frames, passed = Frames(), 0
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        frames.feed(piece)
        passed += len(piece)
    return passed


@pytest.mark.parametrize("size", SIZES)
def test_honest_frames_pass(size: int) -> None:
    assert fed(HONEST, size) == len(HONEST)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("length", [MOST_BYTES + 1, 1 << 16, (1 << 24) - 1])
def test_a_frame_that_is_too_long_is_refused(size: int, length: int) -> None:
    with pytest.raises(FrameTooLargeError, match=f"{length} bytes") as refused:
        fed(HONEST + length.to_bytes(3, "big") + b"\0" * 6, size)
    assert refused.value.error_code is ErrorCodes.FRAME_SIZE_ERROR


def test_the_length_is_enough() -> None:
    frames = Frames()
    for each in HONEST + b"\xff\xff":
        frames.feed(bytes([each]))
    with pytest.raises(FrameTooLargeError):
        frames.feed(b"\xff")


def test_every_cut_in_two() -> None:
    data = HONEST[:PREFACE] + SettingsFrame(0, {4: 1000}).serialize() + b"\x00\x40\x01" + b"\0" * 6
    for end in range(len(data) - HEADER + 3):
        frames = Frames()
        frames.feed(data[:end])
        with pytest.raises(FrameTooLargeError):
            frames.feed(data[end:])


def test_nothing_is_nothing() -> None:
    frames = Frames()
    frames.feed(b"")
    assert repr(frames) == f"<Frames next in {PREFACE}>"
