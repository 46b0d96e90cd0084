"""Heads and trailers that arrive in pieces: the slow path, and the one that a slow attacker takes."""

from __future__ import annotations

import re
from typing import Final

from composemesh.proxy.codec import grammar, why
from composemesh.proxy.codec.parts import LIMITS, Limits, Malformed

_VERSION: Final = b"HTTP/1."
_OTHER_VERSION: Final = re.compile(grammar.OTHER_VERSION)
_LONGEST_VERSION: Final = len(b" HTTP/2.0")
_LINES_OF: Final[dict[tuple[bytes, ...], re.Pattern[bytes]]] = {
    names: re.compile(rb"\n(?i:(%b)):" % b"|".join(names))
    for names in (grammar.SINGLE_IN_REQUESTS, grammar.SINGLE_IN_RESPONSES)
}
"""Where lines of such names begin, after the line before."""


class HeadBuffer:
    """Collects lines until an empty one. However small the pieces, each byte is looked at a fixed number of times.

    What can never become legal is refused at once, not when its end comes: an attacker decides when that is.
    """

    __slots__ = (
        *("_buffer", "_checked", "_fields", "_limits", "_response", "_said", "_single", "_size"),
        *("head", "rest"),
    )

    def __init__(self, limits: Limits = LIMITS, *, response: bool = False) -> None:
        self._limits = limits
        self._response = response
        self._size = limits.head
        self._buffer = bytearray()
        self._checked = 0
        """Where the first line begins that has not been checked."""
        self._fields = -1
        """Field lines so far; -1 before the first line is whole."""
        self._single: tuple[bytes, ...] = grammar.SINGLE_IN_RESPONSES if response else grammar.SINGLE_IN_REQUESTS
        self._said: list[bytes] = []
        """Of the fields that may come once, those that have."""
        self.head = b""
        """Everything up to and with the empty line, once `feed` has returned True."""
        self.rest = b""
        """What came after it."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self._buffer)} bytes, {max(0, self._fields)} fields>"

    def feed(self, data: bytes) -> bool:
        """Add what was received; True once the empty line is there. Raises Malformed when it can no longer come."""
        buffer, seen = self._buffer, len(self._buffer)
        buffer += data
        end = buffer.find(b"\r\n\r\n", max(0, seen - 3))
        if end < 0:
            if self._fields < 0 and not self._response:
                self._check_version(max(0, seen - _LONGEST_VERSION + 1))
            if grammar.HOPELESS.search(buffer, max(0, seen - 1)):
                raise Malformed(400, "control byte or folded line in a head")
            if self._response and not buffer.startswith(_VERSION[: len(buffer)]):
                raise Malformed(400, "not an HTTP/1 response")
            self._check(buffer.rfind(b"\n", seen) + 1, early=True)
            self._check_size(len(buffer))
            return False
        self._check(end + 2, early=False)
        self._check_size(end + 4)
        self.head, self.rest = bytes(buffer[: end + 4]), bytes(buffer[end + 4 :])
        return True

    def _check(self, end: int, *, early: bool) -> None:
        """Check the lines before `end` that have not been. Raises Malformed.

        What takes more than one line to tell is asked only while more are to come: of a whole head, its parser asks.
        """
        buffer, at = self._buffer, self._checked
        if self._fields < 0 and at < end:
            if not self._response and buffer.startswith(b"\r\n"):
                at = 2  # the one empty line that may come before a request
            if at == end:
                return
            line_end = buffer.index(b"\r\n", at)
            refused = why.status_line_refused if self._response else why.request_line_refused
            refusal = refused(bytes(buffer[at:line_end]), self._limits)
            if refusal is not None:
                raise refusal
            self._fields = 0
            self._checked = at = line_end + 2
        if at < end:
            found = grammar.FIELDS.match(buffer, at, end)
            fields = self._fields + buffer.count(b"\n", at, end)
            said = self._said
            if early and self._single:
                said = said + [name.lower() for name in _LINES_OF[self._single].findall(buffer, at - 1, end)]
            again = len(set(said)) < len(said)
            if found is None or found.end() != end or fields > self._limits.fields or again:
                raise why.fields_refused(bytes(buffer[at:end]), self._limits, self._single, self._fields, self._said)
            self._said = said
            self._fields = fields
            self._checked = end

    def _check_version(self, since: int) -> None:
        """Refuse a first line, whole or not, that has come to a version that is not ours. Raises Malformed."""
        if _OTHER_VERSION.search(self._buffer, since):
            refusal = why.version_refused(bytes(self._buffer).removeprefix(b"\r\n"), self._limits)
            if refusal is not None:
                raise refusal

    def _check_size(self, size: int) -> None:
        if self._fields < 0 and size > self._limits.line + len(b"\r\n\r\n"):
            raise Malformed(431 if self._response else 414, "first line too long")
        if size > self._size:
            raise Malformed(431, "header fields too large")


class TrailerBuffer(HeadBuffer):
    """Collects the trailer section of a chunked body, which may be just the empty line (RFC 9112, 7.1.2).

    It is a head without a first line: so it starts with one that is empty and fine, the end of the last chunk's.
    """

    __slots__ = ()

    def __init__(self, limits: Limits = LIMITS) -> None:
        super().__init__(limits)
        self._size = limits.trailers + len(b"\r\n\r\n")
        self._buffer += b"\r\n"
        self._checked = 2
        self._fields = 0
        self._single = ()
