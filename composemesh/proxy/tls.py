"""TLS on a wire: what is read is decrypted, what is written is encrypted, and nobody above needs to know.

OpenSSL never sees the socket. It is given what the socket brought, and asked for what the socket is to take (two
memory BIOs), because that makes one `recv` and one `send` of what would be two and more: reading from the socket
itself, it reads each record's header and body apart. It also keeps the rules of `wire` as they are: a socket is
registered once, edges are remembered, and all bytes that are there are read without waiting.

Three things differ from a plain connection:

- **The end.** A TCP connection can be ended by anyone on the way, so the end that counts is the other side's
  close_notify (RFC 8446, 6.1). Without it the connection was cut, and is read as a reset.
- **Either direction may need the other.** A read may have to answer (a key update, an alert). What the socket does
  not take at once is kept, and the reactor sends it as soon as there is room; no task of ours waits for it.
- **What has come may be no data.** Session tickets and key updates make the socket readable, and leave nothing to
  read. So whoever asks whether a connection is quiet, or who spoke first, has the records opened first.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import Final

import trio

from composemesh.proxy.wire import CHUNK, IN_A_ROW, WRITABLE, Wire

HANDSHAKE_TIMEOUT = 10.0
"""Seconds for a handshake, as for a head in HTTP/1."""
PIECE: Final = 65536
"""Bytes encrypted at a time. Four records, and one `send`: more would only lie encrypted in our memory."""
MOST_RECORDS: Final = 256
"""Records that are opened before others have their turn: 64 KiB of records of a byte take four milliseconds."""
MOST_UNSENT: Final = 1 << 18
"""Bytes that a peer may have us answer without reading any of them: it floods us with key updates."""


class HandshakeFailed(Exception):
    """No session came about. The message says why, in OpenSSL's words."""


class TlsWire(Wire):
    """A wire whose bytes travel encrypted. It takes the place of the plain wire that it is made of."""

    __slots__ = (
        *("_failure", "_finished", "_incoming", "_kept", "_lost", "_more", "_outgoing", "_over", "_shutting"),
        *("_tls", "_unsent", "alpn", "shaken"),
    )

    plain = False

    def __init__(
        self, wire: Wire, context: ssl.SSLContext, *, server: bool = False, name: str = "", first: bytes = b""
    ) -> None:
        """`server`: whether the other side is the client. `name`: whom a server is asked for (SNI), and must prove to
        be where the context checks names. `first`: what was read from the plain wire already.
        """
        wire.hand_over(self)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server, server_hostname=name or None)
        if first:
            self._incoming.write(first)
        self.shaken = False
        """Whether the handshake is over."""
        self.alpn = ""
        """The protocol agreed on (RFC 7301), e.g. `h2`; empty where there is none."""
        self._more = bool(first)
        """Whether OpenSSL may still have something of what it was given."""
        self._kept = b""
        """What was decrypted without having been asked for."""
        self._unsent = b""
        """What is encrypted, and the socket did not take."""
        self._over = False
        """Whether the other side has said that it will send no more."""
        self._finished = False
        """Whether we have, or need not."""
        self._shutting = False
        """Whether the socket is to be shut once all has gone out."""
        self._failure = ""
        """What the other side did wrong, for the next read to raise."""
        self._lost = False
        """Whether the socket takes nothing any more, because the other side has gone."""

    def __repr__(self) -> str:
        return f"<TlsWire {self._tls.version() or 'handshaking'} {self.alpn or '-'} {super().__repr__()}>"

    @property
    def session(self) -> ssl.SSLObject:
        """What was agreed on: version, cipher, the other side's certificate."""
        return self._tls

    async def handshake(self, limit: float = HANDSHAKE_TIMEOUT) -> None:
        """Agree on keys, within `limit` seconds. Raises HandshakeFailed. If it fails or is cancelled: close."""
        reason = ""
        with trio.move_on_after(limit) as scope:
            reason = await self._shake()
        if scope.cancelled_caught:
            reason = f"not done in {limit:.0f} s"
        if reason:
            self._finished = True  # whom should we say goodbye to?
            raise HandshakeFailed(reason)
        self.shaken = True
        self.alpn = self._tls.selected_alpn_protocol() or ""
        self._more = bool(self._incoming.pending)
        self.readable = self.readable or self._more

    async def _shake(self) -> str:
        """Why there is no session; empty where there is one."""
        try:
            while True:
                try:
                    self._tls.do_handshake()
                except ssl.SSLWantReadError:
                    self._push()
                    if not await self._feed():
                        return "the connection ended"
                else:
                    self._push()
                    return ""
        except ssl.SSLError as problem:
            self._push()  # the alert that says what we did not like
            return told(problem)
        except OSError as lost:
            return lost.strerror or "connection lost"

    async def _feed(self) -> bool:
        """Give OpenSSL what comes next; false where nothing will."""
        while (cipher := self._records()) is None:
            await super().until_readable()
        self._incoming.write(cipher)
        return bool(cipher)

    def _records(self) -> bytes | None:
        """What the socket has, as much as one read brings; nothing at its end, None where it has nothing now."""
        try:
            cipher = self.sock.recv(CHUNK)
        except BlockingIOError:
            self.readable = False
            return None
        self._in_a_row += 1
        if len(cipher) < CHUNK:
            self._in_a_row = 0
            self.readable = self.ended
        return cipher

    def wake(self, events: int) -> None:
        if self._unsent and events & WRITABLE:
            self._push()
            if self._unsent:
                events &= ~WRITABLE
        Wire.wake(self, events)

    async def receive(self, size: int = CHUNK) -> bytes:
        while True:
            if self.readable:
                if self._in_a_row >= IN_A_ROW:
                    await self._take_turns()
                data = self._read(size)
                if data is not None:
                    return data
            else:
                await super().until_readable()

    async def receive_into(self, buffer: memoryview) -> int:
        data = await self.receive(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    async def until_readable(self) -> None:
        while not self._kept:
            await super().until_readable()
            try:
                data = self._read(CHUNK)
            except OSError:
                return  # which the next read will raise again
            if data == b"":
                return
            if data:
                self._keep(data)
            elif self._in_a_row >= IN_A_ROW:
                await self._take_turns()

    def is_quiet(self) -> bool:
        if self.readable and not self._kept and not self.ended:
            try:
                self._keep(self._read(CHUNK) or b"")
            except OSError:
                return False
        return not (self.readable or self._kept or self.ended)

    def peek(self, size: int) -> bytes:
        if not self._kept:
            self._keep(self._read(CHUNK) or b"")
        if not self._kept:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return self._kept[:size]

    def _keep(self, data: bytes) -> None:
        self._kept += data
        if data:
            self.readable = True

    def _read(self, size: int) -> bytes | None:
        """Up to `size` bytes; nothing at the end, None where no record of data is whole yet. Raises OSError."""
        if self._kept:
            kept, self._kept = self._kept, self._kept[size:]
            return kept[:size]
        if self._over:
            return b""
        if self._failure:
            raise ConnectionResetError(errno.ECONNRESET, self._failure)
        if not self._more:
            cipher = self._records()
            if cipher is None:
                return None
            if not cipher:
                self._fail("cut without a close_notify")
                return self._read(size)
            self._incoming.write(cipher)
        return self._decrypt(size)

    def _decrypt(self, size: int) -> bytes | None:
        """As many records as have come whole and `size` has room for. Raises OSError."""
        tls, incoming = self._tls, self._incoming
        data: bytes | None = None
        try:
            data = tls.read(size)
            if incoming.pending and len(data) < size:
                data = self._join(data, size)
            self._over = self._over or not data
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:  # what an end is called once we have said ours
            self._over, data = True, b""
        except ssl.SSLError as problem:
            self._fail(told(problem))
        if self._outgoing.pending:
            self._push()
            if len(self._unsent) > MOST_UNSENT:
                self._fail("answers are asked for and not read")
        self._more = incoming.pending > 0 or tls.pending() > 0
        if self._over:
            self.ended = True
        if self._more or self._over:
            self.readable = True
        if data is None and self._failure:
            raise ConnectionResetError(errno.ECONNRESET, self._failure)
        return data

    def _join(self, data: bytes, size: int) -> bytes:
        """`data`, and the records after it. What ends them is remembered: it comes after what is returned."""
        records, left = [data], size - len(data)
        try:
            while data and left and self._incoming.pending and len(records) < MOST_RECORDS:
                data = self._tls.read(left)
                records.append(data)
                left -= len(data)
            self._over = not data
            if len(records) == MOST_RECORDS:
                self._in_a_row = IN_A_ROW
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._over = True
        except ssl.SSLError as problem:
            self._fail(told(problem))
        return b"".join(records)

    def _fail(self, reason: str) -> None:
        """No byte after this one can be trusted, and no goodbye is due."""
        self._failure = reason
        self._finished = self.ended = self.readable = True

    async def send(self, data: bytes | memoryview) -> None:
        if self._unsent:
            await self._until_sent()
        if len(data) > PIECE:
            data = await self._send_all_but_the_last(memoryview(data), copied=isinstance(data, bytes))
        self._encrypt(data)
        if self._unsent:
            await self._until_sent()

    async def _send_all_but_the_last(self, rest: memoryview, *, copied: bool) -> memoryview:
        while len(rest) > PIECE:
            self._encrypt(rest[:PIECE])
            rest = rest[PIECE:]
            if self._unsent:
                if not copied:
                    rest = memoryview(bytes(rest))  # what we were given may be overwritten while we wait
                    copied = True
                await self._until_sent()
        return rest

    def send_now(self, data: bytes) -> int:
        if self._unsent:
            self._push()
            if self._unsent:
                return 0
        piece = data if len(data) <= PIECE else data[:PIECE]
        self._encrypt(piece)
        return len(piece)

    def _encrypt(self, data: bytes | memoryview) -> None:
        if not self._finished:
            while data:
                written = self._tls.write(data)
                data = data[written:]
            self._push()
        if self._lost or self._finished:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    async def _until_sent(self) -> None:
        while self._unsent:
            self.writable = False
            self._push()
            if self._unsent:
                await self.until_writable()
        if self._lost:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    def _push(self) -> None:
        """Give the socket what is to be sent, in the order in which it was encrypted; keep what it does not take."""
        data = self._outgoing.read()
        if self._unsent:
            data = self._unsent + data
        if not data or self._number < 0:
            return
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._lost = True
            sent = len(data)
        self._unsent = data[sent:] if sent < len(data) else b""
        if self._shutting and not self._unsent:
            self._shut()

    def finish(self) -> None:
        """Say close_notify; the rest is as it was: reading goes on, and the socket is shut when all has gone out."""
        if self._finished or self._number < 0:
            return
        while self._more and (data := self._decrypt(CHUNK)):
            self._keep(data)  # or OpenSSL would take it for something said after the end
        self._finished = self._shutting = True
        self._say_goodbye()
        if self._lost:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    def close(self) -> None:
        if self._number >= 0 and self.shaken and not self._finished and not self._lost:
            self._finished = True
            self._say_goodbye()
        super().close()

    def reset(self) -> None:
        self._finished = True
        super().reset()

    def _say_goodbye(self) -> None:
        try:
            self._tls.unwrap()
        except OSError:
            pass  # it would also wait for the other side's
        self._push()

    def _shut(self) -> None:
        self._shutting = False
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has gone, as a read will tell


def told(problem: ssl.SSLError) -> str:
    """What OpenSSL says, without the place in its source."""
    if isinstance(problem, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {problem.verify_message}"
    return (problem.reason or problem.strerror or "TLS error").lower().replace("_", " ")
