"""The bytes that may stand where: RFC 9112 and 9110, stricter where leniency has been an exploit.

Every repetition is possessive: an expression either matches in one walk over the bytes or gives up, so no input,
however hostile, makes it try twice.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from typing import Final

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
VALUE: Final = rb"[\t\x20-\x7e\x80-\xff]"
TARGET: Final = rb"[!\"$-~]"
"""Visible ASCII but `#`. A fragment is never sent (RFC 9112, 3.2); beyond ASCII, a policy may read another path."""

REQUEST_LINE: Final = rb"(%b++) (%b++) HTTP/1\.([01])\r\n" % (TOKEN, TARGET)
STATUS_LINE: Final = rb"(HTTP/1\.[01] [1-9][0-9][0-9](?: %b*+)?+)\r\n" % VALUE
"""The blank before an absent reason is forgiven (RFC 9112, 4): too many origins leave it out."""
FIELD_LINES: Final = rb"(?:%b++:%b*+\r\n)*+" % (TOKEN, VALUE)

REQUEST: Final = re.compile(rb"(?:\r\n)?+%b%b\r\n" % (REQUEST_LINE, FIELD_LINES))
"""A whole request head. One empty line before it is ignored (RFC 9112, 2.2)."""
RESPONSE: Final = re.compile(rb"%b%b\r\n" % (STATUS_LINE, FIELD_LINES))
"""A whole response head."""
FIELDS: Final = re.compile(FIELD_LINES)

SPLIT: Final = re.compile(rb"([^:]++):[ \t]*+(.*[^ \t\r\n]|)[ \t]*+\r\n")
"""Takes apart what the expressions above have let pass, and only that: name, and value without its blanks."""


def is_length(value: bytes) -> bool:
    """Whether this is a Content-Length that `int` may see: it takes signs, blanks and 5,000 digits, too."""
    return value.isdigit() and len(value) < 20


_PORT: Final = rb"(?:[0-5]?[0-9]{1,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_NAME_CHAR: Final = rb"[A-Za-z0-9\-._~!$&'()*+;=]"
"""RFC 3986's reg-name but for the comma, which is what two Host fields become where somebody joins them."""
_AUTHORITY: Final = re.compile(
    rb"(?:(?:%b|%%[0-9A-Fa-f]{2})++|\[(?:([0-9A-Fa-f:.]++)|[vV][0-9A-Fa-f]++\.(?:%b|[:,])++)\])(:%b?)?"
    % (_NAME_CHAR, _NAME_CHAR, _PORT)
)
_LONGEST_AUTHORITY: Final = 255 + len(":65535")
"""A DNS name and a port. It also bounds what the cache below can hold."""


@functools.lru_cache(1024)
def is_authority(value: bytes) -> bool:
    """Whether this is a host and perhaps a port (RFC 3986, 3.2). Userinfo is not: no Host field may carry it."""
    found = _AUTHORITY.fullmatch(value) if len(value) <= _LONGEST_AUTHORITY else None
    if found is None:
        return False
    if found[1]:
        try:
            ipaddress.IPv6Address(found[1].decode())
        except ValueError:
            return False
    return True


def is_destination(value: bytes) -> bool:
    """Whether this is what CONNECT asks for: a host and a port that can be dialled (RFC 9110, 9.3.6)."""
    found = _AUTHORITY.fullmatch(value)
    return found is not None and is_authority(value) and bool((found[2] or b"").strip(b":0"))


ABSOLUTE: Final = re.compile(rb"[hH][tT][tT][pP][sS]?+://([^/?]*+)(.*)")
"""A target in absolute form: authority; path and query."""

_QUOTED: Final = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+"'
_EXTENSION: Final = rb"[ \t]*+;[ \t]*+%b++(?:[ \t]*+=[ \t]*+(?:%b++|%b))?+" % (TOKEN, TOKEN, _QUOTED)
_CHUNK: Final = rb"([0-9A-Fa-f]{1,16})((?:%b)*+)\r\n" % _EXTENSION

FIRST_CHUNK = re.compile(_CHUNK)
"""The line before a chunk (RFC 9112, 7.1): bare hex digits, then extensions; blanks only beside `;` and `=`."""
NEXT_CHUNK: Final = re.compile(rb"\r\n" + _CHUNK)
"""The same with the line end that closes the chunk before it."""
_BEGUN: Final = rb"[0-9A-Fa-f]{0,16}+(?:(?<=[0-9A-Fa-f])(?:[ \t;][\t\x20-\x7e\x80-\xff]*+)?+\r?+)?+"
FIRST_CHUNK_BEGUN: Final = re.compile(_BEGUN)
NEXT_CHUNK_BEGUN: Final = re.compile(rb"\r?+|\r\n%b" % _BEGUN)
"""What may still become such a line."""

HOPELESS: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r[^\n]|\n[ \t]")
"""What no head holds, nor any piece of one: controls, CR or LF alone, a folded line (RFC 9112, 2.2 and 5.2)."""
