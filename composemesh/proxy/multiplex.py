"""An HTTP/2 connection on a wire: many exchanges, one reader, and no stream that can stall another.

The codec decides, this file moves bytes. Whoever has something to say tells the codec and calls `flush`, which writes
at once what the socket takes; for the rest there is one writer task, so a cancelled exchange never tears a frame.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import trio

from composemesh.proxy.codec import h2
from composemesh.proxy.codec.h2 import Code
from composemesh.proxy.reactor import Reactor
from composemesh.proxy.stream import Stream
from composemesh.proxy.wire import Wire

CodecT = TypeVar("CodecT", h2.ServerConnection, h2.ClientConnection)

UNFINISHED = 10.0
"""Seconds a peer may take over a frame, a header block or its first SETTINGS, as over a head in HTTP/1."""
SILENCE = 30.0
"""Seconds without a word, while exchanges are under way, after which a peer is asked for a sign of life."""
NO_ANSWER = 15.0
"""Seconds it has to give one."""
STALLED = 300.0
"""Seconds in which a peer must take something of what is to be sent (Envoy's stream idle timeout)."""
LOOK = 1.0
"""Seconds between looks at streams that wait for their peer's window."""
BURST = 10
"""Exchanges that are begun, or ended before their time, together, before other connections have their turn."""
SMALL_BURST = 3
"""The same where the client is not proven, or with more than BURST of them under way: each will want more turns."""
PAUSE, LONGEST_PAUSE = 0.001, 0.01
"""Seconds between the turns of a connection that wastes them, or asks for much and is not proven."""
SHARE = 4
"""How many times as long as such a turn the pause after it is, up to the longest: a fifth of the loop is its."""
GATHERED = 65536
"""Bytes that go out without waiting for what other streams have to say."""
MOST_UNHEARD = 200
"""Exchanges that are under way, or have ended in words that a client does not take: it is heard no further until it
does. One that keeps to its hundred at a time (RFC 9113, 5.1.2) never comes so far: it may have had a hundred answers
out of what is still being sent, and asked as often anew. A server may have as many under way as it likes, and is
heard: one that reads nothing while it writes, as Node does, waits for that."""
MOST_UNSENT = 1 << 24
"""Bytes that wait for a client, above which it is heard no further either: twice what a hundred answers may be."""
LAST_WORDS = 1.0
"""Seconds to deliver a GOAWAY to a peer that may not be reading."""


class Link(Generic[CodecT]):
    """A codec's connection on a wire."""

    def __init__(self, wire: Wire, codec: CodecT, reactor: Reactor) -> None:
        self.wire = wire
        self.codec: CodecT = codec
        self.streams: dict[int, Stream] = {}
        self.closed = False
        self.on_refused: Callable[[h2.StreamReset], None] | None = None
        """Told of a request that was malformed, and so never opened."""
        self.retired = False
        self.idle_since = time.monotonic()
        """When its last stream ended."""
        self.left = self.expires = math.inf
        """How many more exchanges it may carry, and until when."""
        self.patience = STALLED
        self._heard = self._looked = self.idle_since
        self._turn = self.idle_since
        """When the peer got its turn."""
        self._unfinished = 0.0
        """Since when the peer owes the rest of something; 0 where it owes nothing."""
        self._asked = 0.0
        """When it was asked for a sign of life, and has not given one since; 0 where it owes none."""
        self._connects = False
        self._unsent = b""
        self._unheard = 0
        """Exchanges that have ended since the socket took no more."""
        self._reactor = reactor
        self._gathers = False
        """Whether more is awaited, from other streams, before what there is goes out."""
        self._relief = trio.Event()
        self._settled = trio.Event()

    def __repr__(self) -> str:
        return f"<Link {type(self.codec).__name__} {self.wire!r} streams={len(self.streams)}>"

    @property
    def congested(self) -> bool:
        """Whether the socket takes no more for now."""
        return bool(self._unsent)

    async def relief(self) -> None:
        """Wait until the socket has taken what it was given."""
        await self._relief.wait()

    async def takes_upgrades(self) -> bool:
        """Whether the peer, a server, takes extended CONNECT (RFC 8441): known once its SETTINGS have come."""
        await self._settled.wait()
        return not self.closed and self._connects

    def flush(self) -> None:
        """Have what the codec wants to say sent, in the order in which it was said: soon, with what other streams say
        in the same turn, since a system call costs a third of a small answer."""
        if len(self.streams) <= 1 or self.codec.pending >= GATHERED:
            self.flush_now()
        elif not self._gathers:
            self._gathers = True
            self._reactor.at_turns_end(self._gathered)

    def _gathered(self) -> None:
        self._gathers = False
        self.flush_now()

    def flush_now(self) -> None:
        """The same, at once."""
        if self._unsent or self.closed:
            return  # the writer takes it along
        self._send_now()
        if self._unsent:
            self._relief = trio.Event()
            self._reactor.start(self._write)

    def _send_now(self) -> None:
        data = self.codec.data_to_send()
        if data:
            try:
                sent = self.wire.send_now(data)
                self._unsent = data[sent:]
            except OSError:
                pass  # the reader notices, and tells everyone

    async def run(self, opened: Callable[[h2.RequestOpened], None] | None = None, first: bytes = b"") -> None:
        """Read, write and deliver until either side ends the connection; then every stream has been told.

        `opened` is called for each request; a client's only. Never raises for what a peer does. Closes the wire.
        """
        try:
            if not first:
                self.flush()  # else with the answer to it
            await self._read(opened, first)
            await self._part()
        finally:
            self.close()

    async def _read(self, opened: Callable[[h2.RequestOpened], None] | None, data: bytes) -> None:
        if data:
            await self._let_others()  # to meet a connection was work already
        while True:
            if self.codec.waiting or self.codec.wasteful:
                await self._let_others()
            if opened is not None and self._unsent and self._leaves_too_much:
                await self.relief()
            if not data and not self.codec.waiting:
                try:
                    data = await self.wire.receive()
                except OSError:
                    return
                if not data:
                    return
            self._heard = self._turn = now = time.monotonic()
            self._asked = 0.0
            events = self.codec.receive_some(data, now)
            data = b""
            self._unfinished = (self._unfinished or now) if self.codec.unfinished else 0.0
            left = self._burst()
            for event in events:
                if isinstance(event, h2.RequestOpened):
                    assert opened is not None, "only a server is asked"
                    opened(event)
                elif isinstance(event, h2.Ended):
                    await self._last_words()
                    return
                else:
                    self._deliver(event)
                    if not isinstance(event, h2.StreamReset):
                        continue
                left -= 1
                if not left:
                    await self._let_others()
                    left = self._burst()
            self.flush()

    @property
    def _leaves_too_much(self) -> bool:
        """Whether a client says more and more, and does not read what it is told."""
        return len(self.streams) + self._unheard > MOST_UNHEARD or self.codec.pending > MOST_UNSENT

    def _burst(self) -> int:
        return BURST if self.codec.proven and len(self.streams) <= BURST else SMALL_BURST

    async def _let_others(self) -> None:
        """Others have their turn now, and plenty of it where this connection wastes its own, or asks for much at
        once before anything that it asked for has come to something."""
        self.flush()
        if self.codec.wasteful or not (self.codec.proven or len(self.streams) <= BURST):
            turn = time.monotonic() - self._turn
            await trio.sleep(min(max(PAUSE, SHARE * turn), LONGEST_PAUSE))
        else:
            await trio.lowlevel.checkpoint()
        self._turn = time.monotonic()

    def _deliver(self, event: h2.Event) -> None:
        number = getattr(event, "stream", None)
        if number == 0:
            for stream in self.streams.values():
                stream.may_send()
        elif isinstance(event, h2.SettingsChanged):
            self._connects = event.connect_protocol
            self._settled.set()
        elif number is not None:
            stream_of = self.streams.get(number)
            if stream_of is not None:
                stream_of.put(event)
            elif isinstance(event, h2.BodyCame) and event.flow:
                self.codec.acknowledge(number, event.flow)  # nobody wants it: give the connection its window back
            elif isinstance(event, h2.StreamReset) and not event.remote and self.on_refused is not None:
                self.on_refused(event)

    async def _last_words(self) -> None:
        self.flush_now()
        with trio.move_on_after(LAST_WORDS):
            if self._unsent:
                await self.relief()

    async def _write(self) -> None:
        """The rest of what the socket did not take at once, and what has been said since."""
        try:
            while self._unsent:
                ended = self._unheard
                await self.wire.send(self._unsent)
                self._unheard -= ended
                self._unsent = self.codec.data_to_send()
            self._unheard = 0  # who ended meanwhile had nothing to say
        except OSError:
            self._unsent = b""  # the reader notices
        self._relief.set()

    def look_after(self, now: float) -> None:
        """Called now and then: a peer that owes us something for too long has gone, or means ill."""
        if (
            (self._unfinished and now - self._unfinished > UNFINISHED)
            or (self._asked and now - self._asked > NO_ANSWER)
            or (self._unsent and self.wire.is_stuck(now, self.patience))
        ):
            self.close()
            return
        if self.streams and now - self._looked > LOOK:
            self._looked = now
            self._give_up_stuck_streams(now)
        if self.streams and not self._asked and now - self._heard > SILENCE:
            self._asked = now
            self.codec.ping()
            self.flush()

    def _give_up_stuck_streams(self, now: float) -> None:
        for stream in tuple(self.streams.values()):
            if stream.waits and now - stream.waits > self.patience:
                self.codec.reset(stream.number, Code.CANCEL)
                self.flush()
                stream.put(h2.StreamReset(stream.number, Code.CANCEL, True, "it took nothing for too long"))

    def retire(self) -> None:
        """Take no new exchange; end with the last."""
        self.retired = True
        if not self.streams:
            self.close()

    def leave(self) -> None:
        """Somebody is done with it, or will not begin."""
        if self._unsent:
            self._unheard += 1
        if not self.streams:
            self.idle_since = time.monotonic()
            if self.retired:
                self.close()

    def close(self) -> None:
        """Close the wire, and tell every stream that its exchange is lost. Idempotent."""
        self._close_wire()
        self._tell_lost(len(self.streams))

    async def _part(self) -> None:
        """The same without haste: a hundred exchanges that end at once would keep everybody waiting."""
        self._close_wire()
        while self.streams:
            self._tell_lost(SMALL_BURST)
            await trio.sleep(PAUSE)

    def _close_wire(self) -> None:
        if self.closed:
            return
        if not self._unsent:
            self._send_now()
        self.closed = True
        self.wire.close()
        self._relief.set()
        self._settled.set()

    def _tell_lost(self, most: int) -> None:
        for stream in tuple(self.streams.values())[:most]:
            del self.streams[stream.number]
            stream.put(h2.StreamReset(stream.number, Code.CANCEL, True, "the connection ended"))
