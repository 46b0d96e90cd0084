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

METHOD: Final = rb"(?!-)%b++" % TOKEN
"""Stricter than RFC 9110, 9.1 by the `-`: nobody has such a method, and a command that is handed it has an option."""

REQUEST_LINE: Final = rb"(%b) (%b++) HTTP/1\.([01])\r\n" % (METHOD, TARGET)
OTHER_VERSION: Final = rb" HTTP/(?!1\.[01])[0-9]\.[0-9]"
"""Where this ends it can no longer become one of ours."""
STATUS_LINE: Final = rb"(HTTP/1\.[01] [1-9][0-9][0-9](?: %b*+)?+)\r\n" % VALUE
"""The blank before an absent reason is forgiven (RFC 9112, 4): too many origins leave it out."""
FIELD_LINES: Final = rb"(?:%b++:%b*+\r\n)*+" % (TOKEN, VALUE)

REQUEST: Final = re.compile(rb"(?:\r\n)?+%b%b\r\n" % (REQUEST_LINE, FIELD_LINES))
"""A whole request head. One empty line before it is ignored (RFC 9112, 2.2)."""
RESPONSE: Final = re.compile(rb"%b%b\r\n" % (STATUS_LINE, FIELD_LINES))
"""A whole response head."""
FIELDS: Final = re.compile(FIELD_LINES)

SINGLE_IN_REQUESTS: Final = (b"content-length", b"content-type", b"host")
SINGLE_IN_RESPONSES: Final = (b"content-length",)
"""Fields that are refused where they come twice: some read the first, some the last, and some what both become when
they are joined (RFC 9110, 5.3)."""

SPLIT: Final = re.compile(rb"([^:]++):[ \t]*+(.*[^ \t\r\n]|)[ \t]*+\r\n")
"""Takes apart what the expressions above have let pass, and only that: name, and value without its blanks."""


def is_length(value: bytes) -> bool:
    """Whether this is a Content-Length that `int` may see: it takes signs, blanks and 5,000 digits, too."""
    return value.isdigit() and len(value) < 20


_PORT: Final = rb"(?:[0-5]?[0-9]{1,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_NAME_CHAR: Final = rb"[A-Za-z0-9\-_~!$&'()*+;=]"
"""RFC 3986's reg-name but for dots, and the comma, which is what two Host fields become where somebody joins them."""
_NAME: Final = rb"(?!-)(?:%b|%%[0-9A-Fa-f]{2}|\.(?!-))++" % _NAME_CHAR
"""No label of it begins with `-` (RFC 1123, 2.1): a command that is handed such a name has an option."""
_AUTHORITY: Final = re.compile(
    rb"(?:(%b)|\[(?:([0-9A-Fa-f:.]++)|[vV][0-9A-Fa-f]++\.(?:%b|[.:,])++)\])(:%b?)?" % (_NAME, _NAME_CHAR, _PORT)
)
_LIKE_IPV4: Final = re.compile(rb"[^.]*+(?:\.[0-9]++){3}\.?")
"""What has this shape and is no address is a name to a resolver, and refused by browsers (WHATWG URL, 3.5)."""
_LONGEST_AUTHORITY: Final = 255 + len(":65535")
"""A DNS name and a port. It also bounds what the cache below holds: nothing longer comes to it."""


def is_authority(value: bytes) -> bool:
    """Whether this is a host and perhaps a port (RFC 3986, 3.2). Userinfo is not: no Host field may carry it."""
    return len(value) <= _LONGEST_AUTHORITY and _is_authority(value)


@functools.lru_cache(1024)
def _is_authority(value: bytes) -> bool:
    found = _AUTHORITY.fullmatch(value)
    if found is None:
        return False
    name, address = found[1], found[2]
    try:
        if address:
            ipaddress.IPv6Address(address.decode())
        elif name and _LIKE_IPV4.fullmatch(name):
            ipaddress.IPv4Address(name.removesuffix(b".").decode())
    except ValueError:
        return False
    return True


def is_same_authority(one: bytes, other: bytes, scheme: bytes) -> bool:
    """Whether both name the same host and port, the scheme's own where none is said (RFC 3986, 6.2.3)."""
    return one == other or _normal(one, scheme) == _normal(other, scheme)


DEFAULT_PORTS: Final = {b"http": b"80", b"https": b"443"}
"""By scheme."""


def _normal(authority: bytes, scheme: bytes) -> bytes:
    authority = authority.lower()
    host, colon, port = authority.rpartition(b":")
    return host if colon and port in (b"", DEFAULT_PORTS.get(scheme)) else authority


def is_destination(value: bytes) -> bool:
    """Whether this is what CONNECT asks for: a host and a port that can be dialled (RFC 9110, 9.3.6)."""
    found = _AUTHORITY.fullmatch(value)
    return found is not None and is_authority(value) and bool((found[3] or b"").strip(b":0"))


ABSOLUTE: Final = re.compile(rb"([hH][tT][tT][pP][sS]?+)://([^/?]*+)(.*)")
"""A target in absolute form: scheme; authority; path and query."""

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
