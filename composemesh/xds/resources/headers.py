"""Header operations in Envoy's words: its order is ours, remove, set, add; the arm of a split before its rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from composemesh.model.route import UNCHANGEABLE
from composemesh.routing.operators import Operator, parts_of

if TYPE_CHECKING:
    from composemesh.model.route import HeaderChange, Headers

Json = dict[str, Any]
_AUTHORITY = ("host", ":authority")


def operations(headers: Headers) -> Json:
    """The fields of a Route, or of an arm of its split."""
    made: Json = {}
    for direction, change in (("request", headers.request), ("response", headers.response)):
        given = [_option(name, value, "OVERWRITE_IF_EXISTS_OR_ADD") for name, value in _allowed(change.set)]
        given += [_option(name, value, "APPEND_IF_EXISTS_OR_ADD") for name, value in _allowed(change.add)]
        removed = [name for name in change.remove if name.lower() not in UNCHANGEABLE]
        if given:
            made[f"{direction}_headers_to_add"] = given
        if removed:
            made[f"{direction}_headers_to_remove"] = removed
    return made


def authority(change: HeaderChange) -> str:
    """The authority that is asked for as a header; empty where there is none."""
    return next((value for name, value in (*change.set, *change.add) if name.lower() in _AUTHORITY), "")


def _allowed(said: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in said if name.lower() not in UNCHANGEABLE]


def _option(name: str, value: str, action: str) -> Json:
    return {"header": {"key": name.lower(), "value": escaped(value)}, "append_action": action}


def escaped(value: str) -> str:
    """A value in Envoy's syntax, where a percent sign that begins no operator has to be doubled."""
    return "".join(
        _operator(part) if isinstance(part, Operator) else part.replace("%", "%%") for part in parts_of(value)
    )


def _operator(operator: Operator) -> str:
    argument = f"({operator.argument})" if operator.argument else ""
    longest = f":{operator.longest}" if operator.longest else ""
    return f"%{operator.name}{argument}{longest}%"
