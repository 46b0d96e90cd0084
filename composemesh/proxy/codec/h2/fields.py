"""Which fields may travel in HTTP/2 (RFC 9113, 8.2), judged one at a time: when first seen, not in every head."""

from __future__ import annotations

import re

Field = tuple[bytes, bytes]


class Unfit(tuple[bytes, bytes]):
    """A field that makes its message malformed."""

    __slots__ = ()


class Sensitive(tuple[bytes, bytes]):
    """A field that no hop may put into a table (RFC 7541, 7.1.3): its sender fears that its value be guessed there.

    Equal to any other field of its name and value, but never found where such a one is remembered.
    """

    __slots__ = ()

    def __hash__(self) -> int:
        return ~tuple.__hash__(self)


CONNECTION_SPECIFIC = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
"""RFC 9113, 8.2.2."""
REQUEST_PSEUDO = frozenset({b":method", b":scheme", b":authority", b":path", b":protocol"})
PSEUDO = REQUEST_PSEUDO | {b":status"}

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]++")
"""RFC 9113, 8.2.1: a token, without capitals."""
_ANY_CASE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++")
_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*+(?<![\t ]))?+)?+")
"""The bytes of an HTTP/1 value, without blanks at either end."""
_fit_name = _NAME.fullmatch
_fit_value = _VALUE.fullmatch

_names: dict[bytes, bool] = dict.fromkeys(PSEUDO, True) | dict.fromkeys(CONNECTION_SPECIFIC, False)


def is_fit(name: bytes, value: bytes) -> bool:
    """Whether a field as received may travel in HTTP/2."""
    fit = _names.get(name)
    if fit is None:
        fit = _fit_name(name) is not None
        if len(_names) < 4096 and len(name) < 64:
            _names[name] = fit
    return fit and _fit_value(value) is not None and (name != b"te" or value.lower() == b"trailers")


_SECRET = frozenset({b"authorization", b"proxy-authorization"})
_SHORT = 20
"""Cookies shorter than this could be guessed one by one through a compressor that others share."""


def outgoing(field: Field) -> Field | None:
    """The field as it goes out: its name lowered, Sensitive where its value is a secret; None where it may not."""
    name, value = field
    name = name.lower()
    if name in CONNECTION_SPECIFIC or name == b"host" or _fit_value(value) is None:
        return None
    if name == b"te":
        options = value.lower().split(b",")
        return (name, b"trailers") if any(one.strip(b" \t") == b"trailers" for one in options) else None
    if name not in PSEUDO and _ANY_CASE.fullmatch(name) is None:
        return None
    if type(field) is Sensitive or name in _SECRET or (name == b"cookie" and len(value) < _SHORT):
        return Sensitive((name, value))
    return name, value
