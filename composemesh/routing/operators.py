"""Envoy's command operators in the values of headers: `%REQ(x-user)%` is what the request says of `x-user`.

Here is what there is and how it is written; the proxy knows what each stands for at the moment.
"""

from __future__ import annotations

import re
from typing import NamedTuple

OPERATORS = frozenset(
    (
        *(
            "BYTES_RECEIVED",
            "DOWNSTREAM_LOCAL_PORT",
            "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
            "HOSTNAME",
            "PROTOCOL",
        ),
        *("REQ", "RESPONSE_CODE", "RESPONSE_FLAGS", "ROUTE_NAME", "START_TIME", "UPSTREAM_HOST"),
    )
)
"""Those that are carried out. `REQ` takes a header's name, and after a question mark another one to fall back on."""
_OPERATOR = re.compile(r"%(?:%|([A-Z_]+)(?:\(([^()%]*)\))?(?::(\d{1,9}))?%)")


class Operator(NamedTuple):
    """One operator in a value."""

    name: str
    argument: str
    longest: int
    """Characters that are kept; 0 for all."""


def parts_of(value: str) -> tuple[str | Operator, ...]:
    """A value, taken apart. `%%` is a percent sign; what is no operator of ours stands for itself."""
    parts: list[str | Operator] = []
    end = 0
    for found in _OPERATOR.finditer(value):
        name, argument, longest = found.groups()
        if name is None:
            said: str | Operator = "%"
        elif name in OPERATORS:
            said = Operator(name, argument or "", int(longest or 0))
        else:
            continue
        parts += [value[end : found.start()], said]
        end = found.end()
    parts.append(value[end:])
    return tuple(part for part in parts if part)


def unknown_operators(value: str) -> tuple[str, ...]:
    """The operators of Envoy's that a value has and that are not carried out."""
    return tuple(found[1] for found in _OPERATOR.finditer(value) if found[1] and found[1] not in OPERATORS)
