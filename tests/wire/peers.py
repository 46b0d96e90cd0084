"""What two other parsers make of the same bytes."""

from __future__ import annotations

from dataclasses import dataclass

import h11
import httptools


@dataclass(frozen=True, slots=True)
class Reading:
    """One message as another parser understood it."""

    method: bytes
    target: bytes
    payload: bytes | None
    """None where the parser leaves the payload to its caller (CONNECT, upgrades)."""
    whole: bool


def h11_request(raw: bytes) -> Reading | None:
    """How h11 reads the first request; None where it refuses."""
    peer = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    try:
        peer.receive_data(raw)
        head = peer.next_event()
        if not isinstance(head, h11.Request):
            return Reading(b"", b"", None, whole=False)
        payload, whole = _payload(peer)
    except h11.RemoteProtocolError:
        return None
    return Reading(bytes(head.method), bytes(head.target), payload, whole)


def h11_response(raw: bytes, method: bytes) -> Reading | None:
    """How h11 reads the first final response; None where it refuses."""
    peer = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    peer.send(h11.Request(method=method, target=b"/", headers=[(b"Host", b"a")]))
    peer.send(h11.EndOfMessage())
    try:
        peer.receive_data(raw)
        while isinstance(head := peer.next_event(), h11.InformationalResponse):
            pass
        if not isinstance(head, h11.Response):
            return Reading(b"", b"", None, whole=False)
        payload, whole = _payload(peer)
    except h11.RemoteProtocolError:
        return None
    return Reading(b"", str(head.status_code).encode(), payload, whole)


def _payload(peer: h11.Connection) -> tuple[bytes, bool]:
    payload = b""
    while isinstance(event := peer.next_event(), h11.Data):
        payload += bytes(event.data)
    return payload, isinstance(event, h11.EndOfMessage)


class _Listener:
    """Callbacks of httptools: keeps the first message that is not an informational response."""

    def __init__(self) -> None:
        self.target = b""
        self.payload = b""
        self.whole = False
        self.parser: httptools.HttpResponseParser | None = None

    def on_url(self, url: bytes) -> None:
        if not self.whole:
            self.target += url

    def on_body(self, body: bytes) -> None:
        if not self.whole:
            self.payload += body

    def on_message_complete(self) -> None:
        self.whole = self.parser is None or self.parser.get_status_code() >= 200


def llhttp_request(raw: bytes) -> Reading | None:
    """How llhttp, by httptools, reads the first request; None where it refuses."""
    listener = _Listener()
    parser = httptools.HttpRequestParser(listener)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        return Reading(parser.get_method(), listener.target, None, whole=True)
    except httptools.HttpParserError:
        return None
    return Reading(parser.get_method(), listener.target, listener.payload, listener.whole)


def llhttp_response(raw: bytes) -> Reading | None:
    """How llhttp reads a response; None where it refuses. It cannot be told the method: not for HEAD."""
    listener = _Listener()
    parser = listener.parser = httptools.HttpResponseParser(listener)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        return Reading(b"", str(parser.get_status_code()).encode(), None, whole=True)
    except httptools.HttpParserError:
        return None
    return Reading(b"", str(parser.get_status_code()).encode(), listener.payload, listener.whole)
