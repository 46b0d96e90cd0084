"""What a plain scalar means, as Compose (go-yaml v3) reads it."""

from __future__ import annotations

import re
from typing import Any

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_BASED = re.compile(r"0(?:x[0-9a-fA-F]{1,15}|o?[0-7]{1,20}|b[01]{1,60})")
_FLOAT = re.compile(r"[-+]?(?:[0-9]{1,20}\.[0-9]{0,20}|\.[0-9]{1,20}|[0-9]{1,20}(?=[eE]))(?:[eE][-+]?[0-9]{1,2})?")


def meaning(text: str) -> Any:
    """What a plain scalar means. Numbers too long for 64 bits, dates and `.nan` stay text: data, not trouble."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0) if text[1] in "xob" else int(text, 8)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
