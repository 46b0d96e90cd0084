"""An answer that sends the caller elsewhere. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from composemesh.model.route import PortOfRedirect
from composemesh.proxy.codec.grammar import is_authority
from composemesh.proxy.filters.changes import clean
from composemesh.proxy.filters.rewrite import replacement, rewritten_target

if TYPE_CHECKING:
    from composemesh.model.route import Redirect, StringMatch

_DEFAULT_PORTS = {b"http": 80, b"https": 443}


def location(
    redirect: Redirect, uri: StringMatch | None, *, authority: bytes, path: bytes, scheme: bytes, port: int
) -> bytes:
    """Where a redirect sends a request that came for `authority` and `path` by `scheme` to `port`; Envoy's rules.

    Absolute, so that no path, whatever slashes it begins with, can be taken for another host.
    """
    to = redirect.scheme.lower().encode() if redirect.scheme.isalnum() else scheme
    host = clean(redirect.authority)
    host, own = (host, b"") if host and is_authority(host) else _split(authority)
    number = _port(redirect, own, port, changed=to != scheme, scheme=scheme)
    if redirect.authority and not redirect.port and redirect.derive_port is PortOfRedirect.UNCHANGED:
        number = b""
    if number == b"%d" % _DEFAULT_PORTS.get(to, 0) and (
        redirect.port or redirect.derive_port is not PortOfRedirect.UNCHANGED
    ):
        number = b""
    return to + b"://" + host + (b":" + number if number else b"") + _path(redirect, uri, path)


def _port(redirect: Redirect, own: bytes, port: int, *, changed: bool, scheme: bytes) -> bytes:
    """The port to write, which may be none."""
    if redirect.port:
        return b"%d" % redirect.port
    if redirect.derive_port is PortOfRedirect.REQUEST_PORT:
        return b"%d" % port
    if redirect.derive_port is PortOfRedirect.PROTOCOL_DEFAULT:
        return b""
    # The one the caller wrote; but the default of the scheme that it leaves would be wrong for the other.
    return b"" if changed and own == b"%d" % _DEFAULT_PORTS.get(scheme, 0) else own


def _split(authority: bytes) -> tuple[bytes, bytes]:
    host, colon, port = authority.rpartition(b":")
    return (host, port) if colon and port.isdigit() else (authority, b"")


def _path(redirect: Redirect, uri: StringMatch | None, path: bytes) -> bytes:
    if redirect.prefix is not None:
        return rewritten_target(path, replacement(redirect.prefix, uri))
    if redirect.uri is None:
        return path
    new, mark, query = redirect.uri.encode().partition(b"?")
    target = rewritten_target(path, lambda _: new)
    return rewritten_target(target.partition(b"?")[0], bytes) + mark + query if mark else target
