"""Header operations of rules and of the arms of a split, in Envoy's order: remove, set, add. Pure.

The arm's come first and the rule's after them, so of two that set one header the rule has its way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from composemesh.model.route import UNCHANGEABLE
from composemesh.proxy.codec.grammar import TOKEN, is_authority
from composemesh.proxy.codec.parts import Fields
from composemesh.proxy.filters.operators import fill
from composemesh.routing.operators import Operator, parts_of

if TYPE_CHECKING:
    from composemesh.model.route import HeaderChange
    from composemesh.proxy.exchange import Downstream, Exchange

Parts = tuple[str | Operator, ...]
_NAME = re.compile(TOKEN + rb"++")
_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]+")
_AUTHORITY = ("host", ":authority")


class Level:
    """The operations of one level on one direction, compiled."""

    __slots__ = ("add", "live", "remove", "set")

    def __init__(self, change: HeaderChange) -> None:
        self.remove = frozenset(name.lower().encode() for name in change.remove if name.lower() not in UNCHANGEABLE)
        self.set = _parts(change.set)
        self.add = _parts(change.add)
        self.live = any(isinstance(part, Operator) for _, parts in (*self.set, *self.add) for part in parts)
        """Whether a value depends on the request."""

    def __repr__(self) -> str:
        return f"<Level remove={sorted(self.remove)} set={self.set} add={self.add}>"


Compiled = tuple[frozenset[bytes], Fields]
"""What is taken away, and what is then given."""


class Change:
    """The operations on one direction, of one level or of several."""

    __slots__ = ("_levels", "_static")

    def __init__(self, *levels: HeaderChange) -> None:
        self._levels = tuple(Level(level) for level in levels if level)
        live = any(level.live for level in self._levels)
        self._static = None if live else tuple(_compiled(level, _as_it_is) for level in self._levels)

    def __bool__(self) -> bool:
        return bool(self._levels)

    def __repr__(self) -> str:
        return f"<Change {list(self._levels)}>"

    def on(self, x: Exchange, down: Downstream) -> Callable[[Fields], Fields]:
        """The change of the fields of this request, or of its answer, as it is received at this moment."""
        if self._static is not None:
            return partial(apply, self._static)
        head = x.head

        def change(fields: Fields) -> Fields:
            return apply(
                [_compiled(level, lambda parts: fill(parts, x, down, head)) for level in self._levels], fields
            )

        return change


def apply(levels: Iterable[Compiled], fields: Fields) -> Fields:
    """The fields, changed by one level after the other. What frames or routes a message is not among what can be."""
    for dropped, given in levels:
        if dropped:
            fields = [field for field in fields if field[0].lower() not in dropped]
        fields = fields + given if given else fields
    return fields


def _compiled(level: Level, value: Callable[[Parts], str]) -> Compiled:
    """What has no value is not set, nor added, as in Envoy."""
    set_ = [(name, said) for name, parts in level.set if (said := clean(value(parts)))]
    add = [(name, said) for name, parts in level.add if (said := clean(value(parts)))]
    return level.remove | {name for name, _ in set_}, set_ + add


def _as_it_is(parts: Parts) -> str:
    return "".join(str(part) for part in parts)


def _parts(said: Iterable[tuple[str, str]]) -> list[tuple[bytes, Parts]]:
    """What can be written as it is: a name that is none would be another header."""
    return [
        (encoded, parts_of(value))
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
