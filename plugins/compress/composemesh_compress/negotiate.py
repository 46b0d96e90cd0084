"""What the caller takes: `Accept-Encoding` (RFC 9110, 12.5.3). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

LONGEST = 1024
"""Letters of a field that is looked at; nobody needs more."""
IDENTITY = "identity"

_ITEM = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*(?:;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*)?")
_ALIASES = {"x-gzip": "gzip"}


def accepted(field: str) -> dict[str, float]:
    """The weight of each coding that is named, `*` among them; what can't be read is left out."""
    weights: dict[str, float] = {}
    for part in field[:LONGEST].split(","):
        found = _ITEM.fullmatch(part.strip(" \t"))
        if found is not None:
            name = found[1].lower()
            weights[_ALIASES.get(name, name)] = float(found[2] or 1)
    return weights


def choose(field: str, offered: Sequence[str]) -> str:
    """The coding for an answer: of those with the greatest weight, the one offered first; `identity` for none.

    Without the field any coding would do, but whoever does not ask may not expect it. A caller that takes nothing we
    have gets the answer as it is, as the RFC advises, and not a 406.
    """
    weights = accepted(field)
    others = weights.get("*", 0.0)
    best, most = IDENTITY, weights.get(IDENTITY, 0.0)
    for coding in offered:
        weight = weights.get(coding, others)
        if weight > 0 and (weight > most or (best == IDENTITY and weight == most)):
            best, most = coding, weight
    return best
