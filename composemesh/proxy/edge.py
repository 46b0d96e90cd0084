"""What a gateway makes of requests that come in from outside: whom to believe about the client, and in which scheme.

Envoy's rules for a proxy at the edge (`use_remote_address` with `xff_num_trusted_hops`), which Istio's gateways have.
Pure.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from composemesh.model.flag import Flag
from composemesh.proxy.codec.parts import Fields, RequestHead
from composemesh.proxy.headers import request_fields
from composemesh.proxy.refuse import Moved, Refused

HTTPS_PORT = 443
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_OURS = frozenset({b"x-forwarded-proto", b"x-envoy-external-address"})


def trusted_client(forwarded_for: bytes | None, peer: bytes, trusted_proxies: int, *, edge: bool = True) -> bytes:
    """The earliest address that is known to be true: `peer`'s, or one that a trusted proxy wrote down.

    Each proxy appends the address that it was called from, so of N trusted ones the first wrote the N-th address from
    the right. What stands left of that anybody may have made up. A list that is too short, or no address at that
    place, means that somebody went around the proxies: then `peer` is all that is known. Behind the edge (not `edge`)
    it is one address more, because the edge is trusted as well.
    """
    place = trusted_proxies if edge else trusted_proxies + 1
    if not place or not forwarded_for:
        return peer
    said = forwarded_for.split(b",")
    if len(said) < place:
        return peer
    address = said[-place].strip(b" \t")
    try:
        ipaddress.ip_address(address.decode("ascii"))
    except ValueError:
        return peer
    return address


class Edge:
    """How one server of a gateway treats what comes in by it."""

    __slots__ = ("certificate", "https_port", "scheme", "trusted_proxies")

    def __init__(
        self, scheme: bytes, trusted_proxies: int = 0, https_port: Callable[[bytes], int] | None = None
    ) -> None:
        self.scheme = scheme
        """Of the connection: `http` or `https`."""
        self.trusted_proxies = trusted_proxies
        self.https_port = https_port
        """Authority → the port to which whoever does not come by HTTPS is sent (Istio's `httpsRedirect`), 0 to let
        him in. None where nobody is sent anywhere."""
        self.certificate = b""
        """What services are told of the client's (`described`); empty where it has shown none."""

    def __repr__(self) -> str:
        return f"<Edge {self.scheme.decode()} trusting {self.trusted_proxies} proxies>"

    def scheme_of(self, values: dict[bytes, bytes]) -> bytes:
        """The scheme that the client used, which proxies in front may have ended."""
        said = values.get(b"x-forwarded-proto", b"").lower()
        return said if self.trusted_proxies and said in (b"http", b"https") else self.scheme

    def admit(self, head: RequestHead) -> None:
        """Raises Moved for a request that must come again, by HTTPS."""
        if self.https_port is None or self.scheme_of(head.values) != b"http":
            return
        port = self.https_port(head.authority)
        if port:
            host = without_port(head.authority)
            if not host:
                raise Refused(Flag.DOWNSTREAM_PROTOCOL_ERROR, "no host to be sent to")
            at = b"" if port == HTTPS_PORT else b":%d" % port
            raise Moved(b"https://" + host + at + (head.path if head.path.startswith(b"/") else b"/"))

    def request_fields(self, head: RequestHead, peer: bytes) -> tuple[Fields, bytes]:
        """The fields to send upstream, and the request's id, as `headers.request_fields`."""
        values = head.values
        out, request_id = request_fields(head.fields, values, peer, outside=True)
        out = [field for field in out if field[0].lower() not in _OURS]
        out.append((b"x-forwarded-proto", self.scheme_of(values)))
        client = trusted_client(values.get(b"x-forwarded-for"), peer, self.trusted_proxies)
        out.append((b"x-envoy-external-address", client))
        if self.certificate:
            out.append((b"x-forwarded-client-cert", self.certificate))
        return out, request_id


_SHORT = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
}
"""Kinds of names, as RFC 4514 (3) has them; others are written out."""


def described(der: bytes, names: Mapping[str, Any]) -> bytes:
    """A client's certificate as x-forwarded-client-cert has it: its SHA-256, its subject and its names.

    `names` is what `ssl` makes of it (`getpeercert`). An authority that we believe has signed them, and may have let
    its client choose: nothing of them ends the value, or the field.
    """
    parts = [f"Hash={hashlib.sha256(der).hexdigest()}"]
    subject = [f"{_SHORT.get(kind, kind)}={value}" for pairs in names.get("subject", ()) for kind, value in pairs]
    quoted = ",".join(reversed(subject)).replace("\\", "\\\\").replace('"', '\\"')
    parts.append(f'Subject="{quoted}"')
    for kind, value in names.get("subjectAltName", ()):
        if kind in ("URI", "DNS"):
            parts.append(f"{kind}={quote(value, safe='*:/@!$&()+=-._~?#[]%')}")
    return _CONTROL.sub(" ", ";".join(parts)).encode()


def without_port(authority: bytes) -> bytes:
    """The host of an authority, brackets included."""
    host, colon, port = authority.rpartition(b":")
    return host if colon and (port.isdigit() or not port) else authority
