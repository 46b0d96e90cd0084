"""What a TLS client says in clear before everything else: whom it wants to talk to, and in which protocol.

Only read, never answered: the connection goes on to a server that decides for itself (RFC 8446, 4.1.2; the same bytes
as in every version since TLS 1.0). So a message that is no ClientHello is no harm done; it just has no name.
"""

from __future__ import annotations

import re

from composemesh.proxy.codec.parts import Malformed

LONGEST = 1 << 16
"""Bytes of the message. With keys of all kinds it has three or four thousand; it may say 16 million."""
_RECORD = 5
"""Bytes of a record's header."""
_LONGEST_RECORD = 1 << 14
_CLIENT_HELLO = 1
_SERVER_NAME, _ALPN = 0, 16
_NAME = re.compile(rb"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_\-]*+(?:\.(?=[A-Za-z0-9_]))?+)*+")
"""A DNS name without its last dot (RFC 6066, 3), with the underscore that some have."""


class ClientHello:
    """A client's first message, as far as it matters to somebody who passes it on."""

    __slots__ = ("alpn", "server_name")

    def __init__(self, server_name: str, alpn: tuple[bytes, ...]) -> None:
        self.server_name = server_name
        """In lowercase; empty where the client asks for none."""
        self.alpn = alpn
        """The protocols it offers, best first (RFC 7301)."""

    def __repr__(self) -> str:
        return f"<ClientHello {self.server_name or '-'} {self.alpn}>"


def parse(data: bytes) -> ClientHello | None:
    """Understand the message at the beginning of what has come, in however many records; None where its end has not
    come. Raises Malformed."""
    message = bytearray()
    at = 0
    while True:
        if len(message) >= 4:
            if message[0] != _CLIENT_HELLO:
                raise Malformed(400, "no ClientHello")
            size = int.from_bytes(message[1:4])
            if size > LONGEST:
                raise Malformed(400, "ClientHello too long")
            if len(message) >= 4 + size:
                return _parse_body(bytes(message[4 : 4 + size]))
        header = data[at : at + _RECORD]
        if not b"\x16\x03".startswith(header[:2]):
            raise Malformed(400, "no handshake record of TLS")
        if len(header) < _RECORD:
            return None
        length = int.from_bytes(header[3:5])
        if not 0 < length <= _LONGEST_RECORD:
            raise Malformed(400, "TLS record of a wrong size")
        at += _RECORD
        message += data[at : at + length]
        at += length


def _parse_body(body: bytes) -> ClientHello:
    """version, random, session id, cipher suites, compression methods; then, since TLS 1.2, extensions."""
    reader = _Reader(body)
    reader.skip(2 + 32)
    reader.vector(1, most=32)
    ciphers = reader.vector(2)
    if not ciphers or len(ciphers) % 2 or not reader.vector(1):
        raise Malformed(400, "malformed ClientHello")
    names: tuple[bytes, ...] = ()
    alpn: tuple[bytes, ...] = ()
    if reader.left:
        extensions = _Reader(reader.vector(2))
        seen = set()
        while extensions.left:
            kind = extensions.number(2)
            content = extensions.vector(2)
            if kind in seen:
                raise Malformed(400, "TLS extension twice")
            seen.add(kind)
            if kind == _SERVER_NAME:
                names = _server_names(content)
            elif kind == _ALPN:
                alpn = _protocols(content)
    if reader.left:
        raise Malformed(400, "malformed ClientHello")
    return ClientHello(names[0].decode("ascii").lower() if names else "", alpn)


def _server_names(content: bytes) -> tuple[bytes, ...]:
    reader = _Reader(content)
    entries = _Reader(reader.vector(2))
    names: list[bytes] = []
    while entries.left:
        kind = entries.number(1)
        name = entries.vector(2)
        if kind or names or _NAME.fullmatch(name) is None:
            raise Malformed(400, "malformed server name")  # of each kind one, and there is only one kind
        names.append(name)
    if reader.left or not names:
        raise Malformed(400, "malformed server name")
    return tuple(names)


def _protocols(content: bytes) -> tuple[bytes, ...]:
    reader = _Reader(content)
    entries = _Reader(reader.vector(2))
    protocols = []
    while entries.left:
        protocols.append(entries.vector(1))
    if reader.left or not protocols or not all(protocols):
        raise Malformed(400, "malformed ALPN")
    return tuple(protocols)


class _Reader:
    """TLS's presentation language (RFC 8446, 3), as far as it is needed. Everything raises Malformed."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def skip(self, size: int) -> bytes:
        if self.left < size:
            raise Malformed(400, "malformed ClientHello")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.skip(size))

    def vector(self, size: int, *, most: int = LONGEST) -> bytes:
        """What follows a length of so many bytes."""
        length = self.number(size)
        if length > most:
            raise Malformed(400, "malformed ClientHello")
        return self.skip(length)
