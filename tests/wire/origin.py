"""A deliberately tolerant application behind the mesh: it takes whatever looks like requests, and keeps every byte.

What it would misunderstand, a careless application out there would. So its leniency is the test: nothing that two
parsers can read in two ways may ever reach it.
"""

from __future__ import annotations

import re

import h11
import httptools
import trio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_LENGTH = re.compile(rb"(?im)^content-length:\s*(\d+)")
_CHUNKED = re.compile(rb"(?im)^transfer-encoding:.*chunked")


class Origin:
    """Answers each request with OK, or, as soon as its head is there, with what a test puts in `scripted`."""

    def __init__(self) -> None:
        self.heard: list[bytearray] = []
        """What came, for each connection that said something since `forget`."""
        self.scripted: tuple[list[bytes], bool] | None = None
        """The pieces of the answer, and whether to close after it."""

    def forget(self) -> None:
        self.heard = []

    async def __call__(self, stream: trio.SocketStream) -> None:
        data, heard, said = b"", self.heard, bytearray()
        while more := await stream.receive_some():
            if self.heard is not heard or not said:
                heard, said = self.heard, bytearray()
                heard.append(said)
            said += more
            data += more
            while end := _end_of_head(data):
                rest = b"" if self.scripted else _after_body(data[:end], data[end:])
                if rest is None:
                    break
                head, data = data[:end], rest
                if not await self._answer(stream, head):
                    return

    async def _answer(self, stream: trio.SocketStream, head: bytes) -> bool:
        if self.scripted is None:
            await stream.send_all(OK.removesuffix(b"ok") if head.startswith(b"HEAD ") else OK)
            return True
        pieces, close = self.scripted
        for piece in pieces:
            await stream.send_all(piece)
            await let_others_run(3)
        if close:
            await stream.send_eof()
            while await stream.receive_some():
                pass
        return not close


async def let_others_run(rounds: int) -> None:
    """Long enough for what was sent to be read on the other side of the loopback, before more is sent."""
    for _ in range(rounds):
        await trio.lowlevel.checkpoint()


def _end_of_head(data: bytes) -> int:
    """Where the head ends, by either kind of line end; 0 where it has not."""
    found = re.search(rb"\r?\n\r?\n", data.lstrip(b"\r\n"))
    return len(data) - len(data.lstrip(b"\r\n")) + found.end() if found else 0


def _after_body(head: bytes, data: bytes) -> bytes | None:
    """What follows the body; None where it is not whole."""
    if _CHUNKED.search(head):
        while True:
            line, found, data = data.partition(b"\n")
            if not found:
                return None
            size = int(re.match(rb"[0-9a-fA-F]*", line.strip())[0] or b"0", 16)  # type: ignore[index]
            if len(data) < size + 2:
                return None
            data = data[size + 2 :]
            if not size:
                return data
    said = _LENGTH.search(head)
    length = int(said[1]) if said else 0
    return data[length:] if len(data) >= length else None


Read = list[tuple[bytes, bytes, bytes, bool]]
"""Requests as a parser reads them: method, target, payload, and whether the payload was whole."""


def by_h11(raw: bytes) -> Read | str:
    """All requests in the bytes, or why h11 refuses them."""
    peer = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    read: Read = []
    try:
        peer.receive_data(raw)
        while raw:
            event = peer.next_event()
            if event is h11.PAUSED:
                break  # CONNECT or an upgrade: the rest is no longer HTTP
            if not isinstance(event, h11.Request):
                return read if event is h11.NEED_DATA and not peer.trailing_data[0] else f"h11: {event}"
            method, target, payload = bytes(event.method), bytes(event.target), b""
            while isinstance(event := peer.next_event(), h11.Data):
                payload += bytes(event.data)
            whole = isinstance(event, h11.EndOfMessage)
            read.append((method, target, payload, whole))
            if not whole or peer.their_state is not h11.DONE:
                break
            peer.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            peer.send(h11.EndOfMessage())
            if peer.our_state is not h11.DONE:
                break
            peer.start_next_cycle()
    except h11.RemoteProtocolError as problem:
        return f"h11: {problem}"
    return read


def answers(raw: bytes, methods: list[bytes], *, closed: bool) -> list[tuple[int, bool]] | str:
    """The final responses that a client sees: status, and whether the body was whole; or why h11 refuses them."""
    seen: list[tuple[int, bool]] = []
    for method in methods:
        if not raw:
            break
        peer = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        peer.send(h11.Request(method=method, target=b"/", headers=[(b"Host", b"a")]))
        peer.send(h11.EndOfMessage())
        peer.receive_data(raw)
        try:
            while isinstance(head := peer.next_event(), h11.InformationalResponse):
                if head.status_code == 101:
                    return [*seen, (101, True)]
            if not isinstance(head, h11.Response):
                break
            status = head.status_code
            if method == b"CONNECT" and status < 300:
                return [*seen, (status, True)]
            while isinstance(event := peer.next_event(), h11.Data):
                pass
            if event is h11.NEED_DATA and closed:
                peer.receive_data(b"")
                event = peer.next_event()
        except h11.RemoteProtocolError as problem:
            if not closed or "incomplete" not in str(problem):
                return f"h11: {problem}"
            event = None
        seen.append((status, isinstance(event, h11.EndOfMessage)))
        raw = peer.trailing_data[0]
    return [*seen, (0, False)] if raw and len(seen) == len(methods) else seen


class _Listener:
    def __init__(self) -> None:
        self.read: Read = []
        self.parser: httptools.HttpRequestParser | None = None
        self.target = self.payload = b""

    def on_message_begin(self) -> None:
        self.target = self.payload = b""

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_headers_complete(self) -> None:
        assert self.parser is not None
        self.read.append((self.parser.get_method(), self.target, b"", False))

    def on_body(self, body: bytes) -> None:
        self.payload += body
        self.read[-1] = (*self.read[-1][:2], self.payload, False)

    def on_message_complete(self) -> None:
        self.read[-1] = (*self.read[-1][:3], True)


def by_llhttp(raw: bytes) -> Read | str:
    """All requests in the bytes, or why llhttp refuses them."""
    listener = _Listener()
    parser = listener.parser = httptools.HttpRequestParser(listener)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as problem:
        return f"llhttp: {problem}"
    return listener.read
