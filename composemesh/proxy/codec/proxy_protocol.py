"""The PROXY protocol, versions 1 and 2: who a connection is from, said by the proxy that passes it on.

What HAProxy's specification (proxy-protocol.txt, 2.1 and 2.2) lets a sender write, and nothing more: whoever may open
such a connection is believed, so what is not exactly a header is no header.
"""

from __future__ import annotations

import ipaddress
import re
import struct

from composemesh.proxy.codec.parts import Malformed

Address = tuple[str, int]

LONGEST_LINE = 107
"""Bytes of a header of version 1, its line end included (2.1)."""
LONGEST = 4096
"""Bytes of one of version 2, with its extensions. They may be sixteen times as long; nobody's are."""
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = struct.Struct("!12sBBH")
_NUMBER = rb"(0|[1-9][0-9]{0,4})"
_LINE = re.compile(rb"PROXY TCP([46]) ([0-9a-fA-F.:]++) ([0-9a-fA-F.:]++) %b %b\r\n" % (_NUMBER, _NUMBER))
_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [\x20-\x7e]*+)?+\r\n")
_IPV4, _IPV6 = 0x11, 0x21
"""The address families of version 2 that a TCP connection can be of."""
_NO_ADDRESS = frozenset({0x00, 0x31})
"""Unspecified, and Unix sockets: there is nothing in them that a TCP proxy could use."""


class Stated:
    """What a header says."""

    __slots__ = ("destination", "size", "source")

    def __init__(self, source: Address | None, destination: Address | None, size: int) -> None:
        self.source = source
        """None where the proxy speaks for itself (a health check), or does not know."""
        self.destination = destination
        self.size = size
        """Bytes of the header: what follows is the connection's own."""

    def __repr__(self) -> str:
        return f"<Stated {self.source} → {self.destination}>"


def parse(data: bytes) -> Stated | None:
    """Understand the header at the beginning of what has come; None where its end has not. Raises Malformed."""
    if data.startswith(SIGNATURE[: len(data)]):
        return _parse_v2(data) if len(data) >= _FIXED.size else None
    return _parse_v1(data)


def _parse_v1(data: bytes) -> Stated | None:
    end = data.find(b"\n", 0, LONGEST_LINE) + 1
    if not end:
        if len(data) >= LONGEST_LINE or not (data.startswith(b"PROXY ") or b"PROXY ".startswith(data)):
            raise Malformed(400, "no PROXY header")
        return None
    line = data[:end]
    found = _LINE.fullmatch(line)
    if found is None:
        if _UNKNOWN.fullmatch(line) is None:
            raise Malformed(400, "malformed PROXY header")
        return Stated(None, None, end)
    version = 4 if found[1] == b"4" else 6
    source, destination = _host(version, found[2]), _host(version, found[3])
    ports = int(found[4]), int(found[5])
    if max(ports) > 65535:
        raise Malformed(400, "malformed PROXY header")
    return Stated((source, ports[0]), (destination, ports[1]), end)


def _host(version: int, text: bytes) -> str:
    try:
        address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError:
        raise Malformed(400, "malformed PROXY header") from None
    if address.version != version:
        raise Malformed(400, "malformed PROXY header")
    return str(address)


def _parse_v2(data: bytes) -> Stated | None:
    _, version_and_command, family, length = _FIXED.unpack_from(data)
    end = _FIXED.size + length
    if version_and_command not in (0x20, 0x21):
        raise Malformed(400, "PROXY header of an unknown version or command")
    if end > LONGEST:
        raise Malformed(400, "PROXY header too long")
    if len(data) < end:
        return None
    if version_and_command == 0x20:
        return Stated(None, None, end)  # LOCAL: whatever else it says is to be ignored
    if family in _NO_ADDRESS:
        return Stated(None, None, end)
    if family not in (_IPV4, _IPV6):
        raise Malformed(400, "PROXY header for something other than TCP")
    size = 4 if family == _IPV4 else 16
    at = _FIXED.size
    if length < 2 * size + 4:
        raise Malformed(400, "PROXY header shorter than its addresses")
    hosts = [str(ipaddress.ip_address(data[begin : begin + size])) for begin in (at, at + size)]
    ports = struct.unpack_from("!HH", data, at + 2 * size)
    _check_extensions(data[at + 2 * size + 4 : end])
    return Stated((hosts[0], ports[0]), (hosts[1], ports[1]), end)


def _check_extensions(data: bytes) -> None:
    """Each has a type, a length and so many bytes (2.2, "pp2_tlv"). What they say is for nobody here."""
    at = 0
    while at < len(data):
        at += 3
        if at > len(data):
            raise Malformed(400, "PROXY header with half an extension")
        at += int.from_bytes(data[at - 2 : at])
    if at > len(data):
        raise Malformed(400, "PROXY header with half an extension")


def encode(version: int, source: Address, destination: Address) -> bytes:
    """A header that names both ends of a connection; that neither is known, where they are of two families."""
    try:
        hosts = [ipaddress.ip_address(host) for host, _ in (source, destination)]
    except ValueError:
        hosts = []
    if len({host.version for host in hosts}) != 1:
        return b"PROXY UNKNOWN\r\n" if version == 1 else _FIXED.pack(SIGNATURE, 0x20, 0, 0)
    ports = source[1], destination[1]
    if version == 1:
        names = " ".join(map(str, hosts))
        return f"PROXY TCP{hosts[0].version} {names} {ports[0]} {ports[1]}\r\n".encode()
    addresses = b"".join(host.packed for host in hosts) + struct.pack("!HH", *ports)
    return _FIXED.pack(SIGNATURE, 0x21, _IPV4 if hosts[0].version == 4 else _IPV6, len(addresses)) + addresses
