"""Header fields as programs read and change them: text, by name without case. See `composemesh.plugin.Headers`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from composemesh.proxy.codec.given import given_name, given_value
from composemesh.proxy.codec.parts import Fields


class FieldView:
    """The fields of one message. Changes are handed to whoever holds the message, as a new list."""

    __slots__ = ("_change", "_fields")

    def __init__(self, fields: Fields, change: Callable[[Fields], None]) -> None:
        self._fields = fields
        self._change = change

    def __repr__(self) -> str:
        return f"<FieldView {self._fields}>"

    def get(self, name: str, default: str = "") -> str:
        values = self.all(name)
        return ", ".join(values) if values else default

    def all(self, name: str) -> list[str]:
        wanted = name.lower().encode("latin-1", "replace")
        return [value.decode("latin-1") for each, value in self._fields if each.lower() == wanted]

    def set(self, name: str, value: str) -> None:
        key, given = given_name(name), given_value(value)
        self._put([*self._without(key), (key, given)])

    def add(self, name: str, value: str) -> None:
        self._put([*self._fields, (given_name(name), given_value(value))])

    def remove(self, name: str) -> None:
        self._put(self._without(given_name(name)))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.all(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter([(name.lower().decode("latin-1"), value.decode("latin-1")) for name, value in self._fields])

    def _without(self, name: bytes) -> Fields:
        return [field for field in self._fields if field[0].lower() != name]

    def _put(self, fields: Fields) -> None:
        self._fields = fields
        self._change(fields)


def joined(fields: Fields) -> dict[bytes, bytes]:
    """Lowercase name → value, several of one name joined, as heads have them."""
    values: dict[bytes, bytes] = {}
    for name, value in fields:
        key = name.lower()
        values[key] = values[key] + b", " + value if key in values else value
    return values
