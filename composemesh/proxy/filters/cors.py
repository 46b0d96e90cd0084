"""Cross-origin requests, as Envoy's filter has them. Pure.

A preflight from an origin that matches is answered here. Any other request from it goes its way, and its answer says
so; the application's own word on the matter is replaced. A request from another origin is left alone: the browser
refuses the answer, for want of a header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from composemesh.proxy.filters.changes import clean
from composemesh.routing.predicates import text_test

if TYPE_CHECKING:
    from composemesh.model.route import Cors
    from composemesh.proxy.codec.parts import Fields, RequestHead

_ORIGIN = b"access-control-allow-origin"
_CREDENTIALS = (b"access-control-allow-credentials", b"true")


class CorsPolicy:
    """One policy, compiled."""

    __slots__ = ("_always", "_exposed", "_forwards", "_origins", "_preflight")

    def __init__(self, cors: Cors) -> None:
        self._origins = tuple(text_test(match) for match in cors.allow_origins)
        self._forwards = cors.forward_unmatched_preflights
        self._always: Fields = [_CREDENTIALS] if cors.allow_credentials else []
        self._exposed: Fields = _list(b"access-control-expose-headers", cors.expose_headers)
        self._preflight: Fields = [
            *_list(b"access-control-allow-methods", cors.allow_methods),
            *_list(b"access-control-allow-headers", cors.allow_headers),
        ]
        if cors.max_age is not None:
            self._preflight.append((b"access-control-max-age", b"%d" % cors.max_age))

    def __repr__(self) -> str:
        return f"<CorsPolicy {len(self._origins)} origins>"

    def allows(self, head: RequestHead) -> bool:
        """Whether the request comes from an origin that matches."""
        origin = head.values.get(b"origin", b"")
        return origin != b"" and any(test(origin) for test in self._origins)

    def preflight(self, head: RequestHead, allowed: bool) -> Fields | None:
        """The fields to answer a preflight with; None where it is none, or is not for the mesh to answer."""
        values = head.values
        if head.method != b"OPTIONS" or not values.get(b"origin") or not values.get(b"access-control-request-method"):
            return None
        if allowed:
            return [(_ORIGIN, values[b"origin"]), *self._always, *self._preflight]
        return None if self._forwards else []

    def mark(self, head: RequestHead, fields: Fields) -> Fields:
        """The fields of the answer to a request from an origin that matches."""
        given = [(_ORIGIN, head.values[b"origin"]), *self._always, *self._exposed]
        dropped = {name for name, _ in given}
        return [field for field in fields if field[0].lower() not in dropped] + given


def _list(name: bytes, values: tuple[str, ...]) -> Fields:
    return [(name, clean(",".join(values)))] if values else []
