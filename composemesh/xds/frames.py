"""How long the frames of HTTP/2 are, before anybody keeps them (RFC 9113, 4.2).

h2 judges a frame's length when it has all of it, which may be 16 MiB; who never sends the end is never judged.
No socket, no clock.
"""

from __future__ import annotations

from h2.exceptions import FrameTooLargeError

MOST_BYTES = 16 << 10
"""Of a frame's payload: SETTINGS_MAX_FRAME_SIZE, of which we announce no other than the first."""
PREFACE = 24
"""Bytes of a client's, before its first frame."""
LENGTH = 3
"""Bytes of a frame's length, which comes first."""
HEADER = 9


class Frames:
    """Walks from header to header through what a client sends, and keeps two bytes of it at most."""

    def __init__(self) -> None:
        self._away = PREFACE
        """Bytes until the next header."""
        self._cut = b""
        """The beginning of a length whose end has not come."""

    def __repr__(self) -> str:
        return f"<Frames next in {self._away}>"

    def feed(self, data: bytes) -> None:
        """Raises FrameTooLargeError as soon as a frame is announced that is."""
        data = self._cut + data
        at = self._away
        while at + LENGTH <= len(data):
            length = int.from_bytes(data[at : at + LENGTH], "big")
            if length > MOST_BYTES:
                raise FrameTooLargeError(f"a frame of {length} bytes, where {MOST_BYTES} are allowed")
            at += HEADER + length
        self._cut = data[at:]
        self._away = max(at - len(data), 0)
