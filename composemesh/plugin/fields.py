"""What the fields of a Config may be, besides str, int, float, bool, Path, Literal, tuple[T, ...] and Mapping."""

from __future__ import annotations

import re
from typing import Annotated, overload

from composemesh.config.schema.network import PortNumber
from composemesh.config.schema.scalars import HEADER_NAME, HEADER_VALUE, Duration, Number, Text
from composemesh.config.schema.settings import Size

Seconds = Annotated[float, Duration(zero=True)]
"""Written as a duration: `2s`, `100ms`, `1m30s`; `0` for none."""
Bytes = Annotated[int, Size()]
"""Written as a size: `512`, `16k`, `64m`."""
Port = Annotated[int, PortNumber()]
"""A TCP or UDP port."""
HeaderName = Annotated[str, HEADER_NAME]
HeaderValue = Annotated[str, HEADER_VALUE]


@overload
def between(least: int, most: int) -> Number: ...
@overload
def between(least: float, most: float) -> Number: ...
def between(least: float, most: float) -> Number:
    """For `Annotated[int, between(1, 9)]`: a number from `least` to `most`, whole where both are `int`."""
    return Number(least, most, whole=isinstance(least, int) and isinstance(most, int))


def matching(pattern: str, wanted: str) -> Text:
    """For `Annotated[str, matching("[a-z]+", "lowercase letters")]`: text that an expression matches as a whole.

    `wanted` is how a Problem names it: "`tag` is "A1", and must be lowercase letters."
    """
    return Text(re.compile(pattern), wanted, empty=re.fullmatch(pattern, "") is not None)
