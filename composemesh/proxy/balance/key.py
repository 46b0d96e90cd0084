"""What of a request a consistent hash is made of, and the cookie for callers that have none yet. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping
from urllib.parse import parse_qsl

from composemesh.model.policy import ConsistentHash, HashKey


def key_of(settings: ConsistentHash, values: Mapping[bytes, bytes], target: bytes, source: bytes) -> bytes | None:
    """The key of a request with these headers, for this target, from that address; None where it has none."""
    name = settings.name
    if settings.key is HashKey.SOURCE_IP:
        return source
    if settings.key is HashKey.HEADER:
        return values.get(name.lower().encode())
    if settings.key is HashKey.COOKIE:
        return cookie(values.get(b"cookie", b""), name.encode())
    query = target.partition(b"?")[2].decode("latin-1")
    for said, value in parse_qsl(query, keep_blank_values=True, encoding="latin-1"):
        if said == name:
            return value.encode("latin-1")
    return None


def cookie(header: bytes, name: bytes) -> bytes | None:
    """The value of a cookie, without quotes; None where there is none, or nothing in it (RFC 6265, 4.2)."""
    for pair in header.replace(b",", b";").split(b";"):  # a comma: several Cookie fields, joined
        said, _, value = pair.strip(b" \t").partition(b"=")
        if said == name:
            return value.strip(b'"') or None
    return None


def new_cookie(settings: ConsistentHash) -> tuple[bytes, bytes]:
    """A new key, and the `Set-Cookie` that has the caller bring it along (as Envoy writes it)."""
    key = b"%016x" % random.getrandbits(64)  # picks an instance, protects nothing
    parts = [b"%b=%b" % (settings.name.encode(), key)]
    if settings.cookie_ttl:
        parts.append(b"Max-Age=%d" % round(settings.cookie_ttl))
    if settings.cookie_path:
        parts.append(b"Path=%b" % settings.cookie_path.encode())
    parts.append(b"HttpOnly")
    return key, b"; ".join(parts)
