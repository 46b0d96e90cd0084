"""Field lines that programs give, where peers' have been through the codec: text → bytes, checked as strictly."""

from __future__ import annotations

import re

from composemesh.model.route import UNCHANGEABLE
from composemesh.proxy.codec.grammar import TOKEN, VALUE

_NAME = re.compile(TOKEN + rb"++")
_VALUE = re.compile(VALUE + rb"*+")


def given_name(name: str) -> bytes:
    """The name of a field that may be given. Raises ValueError for what is none, and for what frames a message."""
    encoded = name.encode("ascii", "replace").lower()
    if _NAME.fullmatch(encoded) is None:
        raise ValueError(f"{name!r:.80} is no name of a header")
    if encoded.decode() in UNCHANGEABLE:
        raise ValueError(f"the header {name:.80} frames or routes the message, and is the mesh's to write")
    return encoded


def given_value(value: str) -> bytes:
    """The value of a field. Text beyond Latin-1 goes as UTF-8. Raises ValueError for control characters."""
    try:
        encoded = value.encode("latin-1")
    except UnicodeEncodeError:
        encoded = value.encode()
    encoded = encoded.strip(b" \t")
    if _VALUE.fullmatch(encoded) is None:
        raise ValueError(f"{value!r:.80} has control characters, which no header may have")
    return encoded
