"""An answer that sends the caller elsewhere. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from composemesh.model.route import PortOfRedirect
from composemesh.proxy.codec.grammar import DEFAULT_PORTS, is_authority
from composemesh.proxy.filters.changes import clean
from composemesh.proxy.filters.rewrite import escaped, replacement, rewritten_target

if TYPE_CHECKING:
    from composemesh.model.route import Redirect, StringMatch

_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*")


def location(
    redirect: Redirect, uri: StringMatch | None, *, authority: bytes, path: bytes, scheme: bytes, port: int
) -> bytes:
    """Where a redirect sends a request that came for `authority` and `path` by `scheme` to `port`; Envoy's rules.

    Absolute, so that no path, whatever slashes it begins with, can be taken for another host.
    """
    to = redirect.scheme.lower().encode() if _SCHEME.fullmatch(redirect.scheme) else scheme
    given = clean(redirect.authority)
    given = given if is_authority(given) else b""
    host, own = _split(given or authority)
    if not given and to != scheme and own == _default_port(scheme):
        own = b""  # the caller wrote the default of the scheme that it leaves
    number = _port(redirect, own, port, to)
    return to + b"://" + host + (b":" + number if number else b"") + _path(redirect, uri, path)


def _port(redirect: Redirect, own: bytes, port: int, scheme: bytes) -> bytes:
    """The port to write, which may be none; `own` is the one that the authority has."""
    if redirect.port or redirect.derive_port is PortOfRedirect.REQUEST_PORT:
        number = b"%d" % (redirect.port or port)
        return b"" if number == _default_port(scheme) else number
    return b"" if redirect.derive_port is PortOfRedirect.PROTOCOL_DEFAULT else own


def _default_port(scheme: bytes) -> bytes:
    return DEFAULT_PORTS.get(scheme, b"")


def _split(authority: bytes) -> tuple[bytes, bytes]:
    host, colon, port = authority.rpartition(b":")
    return (host, port) if colon and port.isdigit() else (authority, b"")


def _path(redirect: Redirect, uri: StringMatch | None, path: bytes) -> bytes:
    if redirect.prefix is not None:
        return rewritten_target(path, replacement(redirect.prefix, uri))
    if redirect.uri is None:
        return path if path.startswith(b"/") else b"/"  # `*`, or what CONNECT asks for
    new, mark, query = redirect.uri.encode().partition(b"?")
    if mark:  # a query of its own, instead of the request's
        return rewritten_target(b"", lambda _: new) + mark + escaped(query)
    return rewritten_target(path, lambda _: new)
