"""What a connection sends: heads, bodies as far as the peer's windows go, and what ends a stream."""

from __future__ import annotations

from composemesh.proxy.codec.h2 import frames
from composemesh.proxy.codec.h2.core import BY_RESET, HALF_CLOSED_REMOTE, Stream
from composemesh.proxy.codec.h2.frames import Code
from composemesh.proxy.codec.h2.state import State
from composemesh.proxy.codec.parts import Fields


class Sending(State):
    """The sending half. Nothing is written here: after each call, send what `data_to_send` gives."""

    def data_to_send(self) -> bytes:
        """What to send now; empty when there is nothing. Each byte is given once."""
        out = bytes(self._out)
        self._out.clear()
        return out

    @property
    def pending(self) -> int:
        """Bytes that `data_to_send` would give."""
        return len(self._out)

    @property
    def stopped(self) -> bool:
        """Whether the peer takes no more of any body, because it has yet to read what it has of others."""
        return self._core.outbound_flow_control_window <= 0

    def window(self, stream: int) -> int:
        """How many bytes `send_data` would take now. Raises Gone."""
        return max(0, min(self._live(stream).outbound_flow_control_window, self._core.outbound_flow_control_window))

    def send_data(self, stream: int, payload: bytes, end: bool = False) -> int:
        """Send as much of a body as both windows take, and return how much that is. For the rest, wait until
        `WindowOpened` and call again. `end` ends our side once everything was taken. Raises Gone."""
        live = self._live(stream)
        core = self._core
        asked = size = len(payload)
        window = live.outbound_flow_control_window
        if window < size:
            size = max(0, window)
            live.short = True
        window = core.outbound_flow_control_window
        if window < size:
            size = max(0, window)
            self._short = True
        longest = core.max_outbound_frame_size
        whole = size == asked
        if size <= longest:
            if size or (end and whole):
                flags = frames.END_STREAM if end and whole else 0
                self._out += frames.header(size, frames.DATA, flags, stream)
                self._out += payload if whole else payload[:size]
        else:
            for at in range(0, size, longest):
                piece = payload[at : min(at + longest, size)]
                flags = frames.END_STREAM if end and whole and at + longest >= size else 0
                self._out += frames.header(len(piece), frames.DATA, flags, stream)
                self._out += piece
        if size:
            live.outbound_flow_control_window -= size
            core.outbound_flow_control_window -= size
            live.answered = True
            self._budget.body_went(size, asked)
        if end and whole:
            self._our_end(live)
        return size

    def end(self, stream: int) -> None:
        """End our side of a stream. Raises Gone."""
        live = self._live(stream)
        self._out += frames.header(0, frames.DATA, frames.END_STREAM, stream)
        self._our_end(live)

    def send_trailers(self, stream: int, fields: Fields) -> None:
        """End our side of a stream with fields. Raises Gone."""
        live = self._live(stream)
        self._send_block(live, fields, True)

    def _send_block(self, stream: Stream, fields: Fields, end: bool) -> None:
        core = self._core
        block = core.encoder.block(fields)
        if not block and end:
            self._out += frames.header(0, frames.DATA, frames.END_STREAM, stream.stream_id)
        else:
            self._out += frames.headers(stream.stream_id, block, end, core.max_outbound_frame_size)
        if end:
            self._our_end(stream)

    def reset(self, stream: int, code: int = Code.CANCEL) -> None:
        """End a stream before its time. Of no effect where it is gone already."""
        live = self._streams.get(stream)
        if live is not None:
            self._out += frames.rst_stream(stream, code)
            self._close(live, BY_RESET)

    def acknowledge(self, stream: int, size: int) -> None:
        """So many bytes of a body (`BodyCame.flow`) have been passed on: the peer may send as many more.

        Of no effect where the stream is gone: what it had not read has been given back with it.
        """
        live = self._streams.get(stream)
        if live is None or not size:
            return
        size = min(size, live.unread)
        live.unread -= size
        if not self._shared:
            self._give_back(size)
        if live.state_machine.state == HALF_CLOSED_REMOTE:
            return
        limits, held = self._limits, live.window + live.unread
        free = limits.stream_window - held
        if free >= limits.stream_window >> 1 and not limits.first_window >> 1 < held <= limits.first_window:
            self._out += frames.window_update(stream, free)
            live.window += free

    def ping(self, opaque: bytes = bytes(8)) -> None:
        """Ask for a sign of life, which will be `PingAnswered`; eight bytes of our choice come back with it."""
        self._pings += 1
        self._out += frames.ping(opaque)

    def goaway(self, code: int = Code.NO_ERROR, last: int | None = None) -> None:
        """Take no new streams. Those that there are go on (h2's own close_connection would end them all).

        With `last=HIGHEST_STREAM` it is a warning only: streams on their way are still taken, until the second call.
        """
        if last is None:
            last = self._last()
        self.draining = self.draining or last != frames.HIGHEST_STREAM
        self._out += frames.goaway(last, code)
