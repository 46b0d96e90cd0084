"""Which answers are worth compressing, and may be. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from composemesh.plugin import Headers

UNTOUCHED = frozenset({204, 205, 206, 304, 416})
"""Statuses without a body of their own, or whose body is a part of another's."""
_DIGESTS = ("content-digest", "repr-digest", "digest", "content-md5")
"""Made of the bytes as they are: nobody can check them afterwards (RFC 9530)."""


def may_vary(status: int, headers: Headers, types: Collection[str]) -> bool:
    """Whether what callers take can make a difference to such an answer: then caches must know it."""
    return (
        status not in UNTOUCHED
        and "content-range" not in headers
        and headers.get("content-encoding", "identity").lower() in ("", "identity")
        and of_type(headers.get("content-type"), types)
        and not transforms_are_forbidden(headers)
        and not any(name in headers for name in _DIGESTS)
    )


def long_enough(headers: Headers, least: int) -> bool:
    """Whether it has that many bytes; what does not say so may have any number."""
    length = headers.get("content-length")
    return not length.isdigit() or int(length[:19]) >= least


def of_type(content_type: str, types: Collection[str]) -> bool:
    """Whether a media type is among those listed, where `text/*` stands for all of one kind."""
    named = content_type.partition(";")[0].strip().lower()
    return named in types or f"{named.partition('/')[0]}/*" in types


def transforms_are_forbidden(headers: Headers) -> bool:
    """Whether a sender wants its message to arrive as it is (RFC 9111, 5.2.2.6; for requests 5.2.1.6)."""
    directives = headers.get("cache-control").lower().split(",")
    return any(directive.strip() == "no-transform" for directive in directives)
