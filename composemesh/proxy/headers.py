"""What a sidecar takes away from a message, and what it adds. Pure.

Taken away: the fields that concern one connection only (RFC 9110, 7.6.1), and those that `Connection` nominates,
except the ones that a sender may not nominate without changing what the message means. Added, as Istio's sidecars
do: `x-request-id`, `x-forwarded-for`, `x-forwarded-proto`; on the way back `x-envoy-upstream-service-time`, `server`.
"""

from __future__ import annotations

import functools
import random
import re
from binascii import hexlify
from typing import Any, Final

from composemesh.proxy.codec.parts import Fields

HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
NEVER_NOMINATED: Final = frozenset({b"host", b"content-length", b"authorization", b"cookie", b"x-request-id"})
"""A `Connection` that names one of these is an attempt to strip it before a later hop sees it: ignored."""
NEVER_NOMINATED_PREFIXES: Final = (b"x-forwarded-", b"x-envoy-")

_NOT_FROM_OUTSIDE: Final = (b"x-envoy-", b"x-forwarded-client-cert")
"""What proxies of a mesh tell one another: who is calling, how long to try. Applications believe it."""
_OURS_ON_REQUESTS: Final = frozenset({b"x-forwarded-for"})
_OURS_ON_RESPONSES: Final = frozenset({b"server", b"x-envoy-upstream-service-time"})
_DROPPED_FROM_REQUESTS: Final = HOP_BY_HOP | _OURS_ON_REQUESTS
_REQUEST_IDS: Final = frozenset({b"x-request-id"})
_LENGTH: Final = frozenset({b"content-length"})
_DROPPED_FROM_RESPONSES: Final = HOP_BY_HOP | _OURS_ON_RESPONSES

_REQUEST_ID: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_SERVER: Final = (b"server", b"composemesh")
_HTTP: Final = (b"x-forwarded-proto", b"http")


def nominated(values: dict[bytes, bytes]) -> frozenset[bytes]:
    """The fields that `Connection` lists, in lowercase, less those that may not be nominated."""
    listed = values.get(b"connection", b"").lower().split(b",")
    return frozenset(
        name
        for item in listed
        if (name := item.strip(b" \t"))
        and name not in NEVER_NOMINATED
        and not name.startswith(NEVER_NOMINATED_PREFIXES)
    )


def _kept(fields: Fields, values: dict[bytes, bytes], dropped: frozenset[bytes]) -> Fields:
    if dropped.isdisjoint(values):
        return fields.copy()
    connection = values.get(b"connection")
    if connection is not None:
        dropped = _with_nominated(dropped, connection)
    return without(fields, dropped)


def without(fields: list[Any], dropped: frozenset[bytes]) -> Fields:
    """The same fields, but for those. Of `Any`, because compiled code would take each for two values and put them
    together anew: what HTTP/2 marks as not to be indexed would lose its mark."""
    return [field for field in fields if field[0].lower() not in dropped]


@functools.lru_cache(64)
def _with_nominated(dropped: frozenset[bytes], connection: bytes) -> frozenset[bytes]:
    """Most peers say `keep-alive` every time: worked out once, it costs a tenth of the fields' own price."""
    return dropped | nominated({b"connection": connection})


def request_fields(
    fields: Fields, values: dict[bytes, bytes], peer_address: bytes, *, outside: bool = False
) -> tuple[Fields, bytes]:
    """The fields to send upstream, and the request's id. Framing and upgrade fields are the caller's to add.

    `outside`: whether the request comes from outside the mesh, where nobody can speak for a proxy of it.
    """
    out = _kept(fields, values, _DROPPED_FROM_REQUESTS)
    if outside:
        out = _not_for_outside(out)
    came_from = values.get(b"x-forwarded-for")
    out.append((b"x-forwarded-for", came_from + b"," + peer_address if came_from else peer_address))
    if b"x-forwarded-proto" not in values:
        out.append(_HTTP)
    request_id = values.get(b"x-request-id")
    if request_id is None:
        request_id = new_request_id()
        out.append((b"x-request-id", request_id))
    elif _REQUEST_ID.fullmatch(request_id) is None:
        # It would end up in logs and traces of everyone downstream: an id that is not a token is replaced.
        request_id = new_request_id()
        out = without(out, _REQUEST_IDS)
        out.append((b"x-request-id", request_id))
    return out, request_id


def _not_for_outside(fields: list[Any]) -> Fields:
    return [field for field in fields if not field[0].lower().startswith(_NOT_FROM_OUTSIDE)]


def response_fields(fields: Fields, values: dict[bytes, bytes], upstream_ms: int) -> Fields:
    """The fields to send downstream. Framing and upgrade fields are the caller's to add."""
    out = _kept(fields, values, _DROPPED_FROM_RESPONSES)
    out.append((b"x-envoy-upstream-service-time", b"%d" % upstream_ms))
    out.append(_SERVER)
    return out


def without_length(fields: Fields) -> Fields:
    """For a response that has no body and must not speak of its length: 1xx, 204, and any that opens a tunnel
    (RFC 9110, 8.6 and 9.3.6)."""
    return without(fields, _LENGTH)


def interim_fields(fields: Fields, values: dict[bytes, bytes]) -> Fields:
    """The fields of a 1xx response to send downstream."""
    return without_length(_kept(fields, values, HOP_BY_HOP))


_NEVER_TRAILERS: Final = HOP_BY_HOP | frozenset(
    b"authorization authentication-info cache-control content-encoding content-range content-type cookie expect "
    b"max-forwards proxy-authenticate proxy-authorization range set-cookie www-authenticate x-request-id".split()
)
"""What says how a message is to be handled, and so must be known before it is (RFC 9110, 6.5.1)."""


def trailer_fields(fields: list[Any]) -> Fields:
    """Of the fields that came after a chunked body, those that may go on."""
    return [
        field
        for field in fields
        if (name := field[0].lower()) not in _NEVER_TRAILERS and not name.startswith(NEVER_NOMINATED_PREFIXES)
    ]


def takes_trailers(values: dict[bytes, bytes]) -> bool:
    """Whether the sender of a request reads the fields after a response's body (RFC 9110, 10.1.4)."""
    options = values.get(b"te", b"").lower().split(b",")
    return any(option.strip(b" \t") == b"trailers" for option in options)


def new_request_id() -> bytes:
    """A random UUID (version 4, of 120 random bits). Identifies, protects nothing: the fast generator is right."""
    digits = hexlify(random.getrandbits(128).to_bytes(16, "big"))
    return b"%b-%b-4%b-a%b-%b" % (digits[:8], digits[8:12], digits[13:16], digits[17:20], digits[20:])
