"""Rules and policies in words, for people: only what was said of them, and no default."""

from __future__ import annotations

import dataclasses
from typing import Any

from composemesh.model.route import Fault, HttpRule

_QUIET = frozenset({"matches", "destinations", "name", "origin"})


def actions(rule: HttpRule) -> list[str]:
    """What a rule does besides choosing, a line each."""
    return [
        f"{each.name.replace('_', ' ')}: {_shown(getattr(rule, each.name))}"
        for each in dataclasses.fields(rule)
        if each.name not in _QUIET and getattr(rule, each.name)
    ]


def settings_in(level: Any) -> list[str]:
    """What a policy sets, a line each."""
    return [
        f"{each.name.replace('_', ' ')}: {_shown(value)}"
        for each in dataclasses.fields(level)
        if (value := getattr(level, each.name))
    ]


def _shown(value: Any) -> str:
    """A value of the model, with only those fields that say something."""
    if isinstance(value, bytes):
        return repr(value.decode(errors="replace"))
    if isinstance(value, Fault):
        return _fault(value)
    if isinstance(value, tuple):
        return ", ".join(_shown(each) for each in value)
    if not dataclasses.is_dataclass(value) or type(value).__str__ is not object.__str__:
        return str(value)
    defaults = {each.name: each.default for each in dataclasses.fields(value)}
    said = {name: getattr(value, name) for name, default in defaults.items() if getattr(value, name) != default}
    return " ".join(f"{name.replace('_', ' ')} {_shown(each)}" for name, each in said.items()) or "default"


def _fault(fault: Fault) -> str:
    said = []
    if (delay := fault.delay) is not None:
        said.append(f"delay {delay.seconds:g} s for {delay.percent:g} %")
    if (abort := fault.abort) is not None:
        answer = f"{abort.http_status}" if abort.grpc_status < 0 else f"gRPC {abort.grpc_status}"
        said.append(f"abort {answer} for {abort.percent:g} %")
    return ", ".join(said)
