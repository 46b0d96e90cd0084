"""Header operations of rules and of the arms of a split, in Envoy's order: remove, set, add. Pure.

The arm's come first and the rule's after them, so of two that set one header the rule has its way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from composemesh.model.route import UNCHANGEABLE
from composemesh.proxy.codec.grammar import TOKEN, is_authority

if TYPE_CHECKING:
    from composemesh.model.route import HeaderChange
    from composemesh.proxy.codec.parts import Fields

_NAME = re.compile(TOKEN + rb"++")
_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]+")
_AUTHORITY = ("host", ":authority")


class Change:
    """The operations on one direction, of one level or of several."""

    __slots__ = ("_levels",)

    def __init__(self, *levels: HeaderChange) -> None:
        self._levels = tuple(_compiled(level) for level in levels if level)

    def __bool__(self) -> bool:
        return bool(self._levels)

    def __repr__(self) -> str:
        return f"<Change {list(self._levels)}>"

    def __call__(self, fields: Fields) -> Fields:
        """The fields, changed. What frames or routes a message is not among what can be."""
        for dropped, given in self._levels:
            if dropped:
                fields = [field for field in fields if field[0].lower() not in dropped]
            fields = fields + given if given else fields
        return fields


def _compiled(change: HeaderChange) -> tuple[frozenset[bytes], Fields]:
    set_ = _fields(change.set)
    removed = {name.lower() for name in change.remove} - UNCHANGEABLE
    dropped = frozenset({*(name.encode() for name in removed), *(name for name, _ in set_)})
    return dropped, set_ + _fields(change.add)


def _fields(said: Iterable[tuple[str, str]]) -> Fields:
    """What can be written as it is: a name that is none, or a line end in a value, would be another header."""
    return [
        (encoded, clean(value))
        for name, value in said
        if (lower := name.lower()) not in UNCHANGEABLE and _NAME.fullmatch(encoded := lower.encode())
    ]


def clean(value: str) -> bytes:
    """A value without control characters, and without blanks around it."""
    return _CONTROLS.sub(b" ", value.encode()).strip(b" \t")


def authority_of(*changes: HeaderChange) -> bytes:
    """The authority that header operations ask for, the first one's first; empty where they ask for none."""
    for change in changes:
        for name, value in (*change.set, *change.add):
            if name.lower() in _AUTHORITY and is_authority(clean(value)):
                return clean(value)
    return b""
