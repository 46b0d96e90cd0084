"""The bytes that may stand where: RFC 9112 and 9110, stricter where leniency has been an exploit."""

from __future__ import annotations

import re

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
VALUE = rb"[\t\x20-\x7e\x80-\xff]"
TARGET = rb"[!\"$-~]"
"""Visible ASCII but `#`: a fragment is never sent (RFC 9112, 3.2), and beyond ASCII a proxy and its policy may differ."""

FIELD_LINE = rb"%b++:%b*+\r\n" % (TOKEN, VALUE)
FIELD_LINES = rb"((?:%b)*+)" % FIELD_LINE

REQUEST = re.compile(rb"(?:\r\n)?+(%b++) (%b++) HTTP/1\.([01])\r\n%b\r\n" % (TOKEN, TARGET, FIELD_LINES))
"""A whole request head. One empty line before it is ignored (RFC 9112, 2.2)."""
RESPONSE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: (%b*+))?+\r\n%b\r\n" % (VALUE, FIELD_LINES))
"""A whole response head. The blank before an absent reason is forgiven: too many origins leave it out."""

FIELD = re.compile(rb"([^:\r\n]++):[ \t]*+([^\r\n]*+)\r\n")
"""Takes apart what the expressions above have let pass; trailing whitespace is still on the value."""
FIELDS = re.compile(rb"(?:%b)*+" % FIELD_LINE)

DIGITS = re.compile(rb"[0-9]{1,19}")
"""A Content-Length that `int` may see: it would take signs, blanks, underscores and 5,000 digits as well."""

_NAME = rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+"
_BRACKETED = rb"\[(?:[0-9A-Fa-f:.]{2,45}|[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+)\]"
_HOST = rb"(?:%b|%b)" % (_NAME, _BRACKETED)
AUTHORITY = re.compile(rb"%b(?::[0-9]{0,5})?" % _HOST)
"""RFC 3986, 3.2 without userinfo, which no Host field may carry."""
CONNECT_AUTHORITY = re.compile(rb"%b:[0-9]{1,5}" % _HOST)
ABSOLUTE = re.compile(rb"[hH][tT][tT][pP][sS]?://([^/?#]*)([^#]*)")

SIZE_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,16})"
    rb"((?:[ \t]*+;[ \t]*+T++(?:[ \t]*+=[ \t]*+(?:T++|\"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+\"))?+)*+)"
    rb"\r\n".replace(b"T", TOKEN)
)
"""The line before a chunk (RFC 9112, 7.1): hex digits only, then extensions; blanks only beside `;` and `=`."""
