"""What an HTTP/2 connection is in the middle of: its streams, their windows, what waits to be sent."""

from __future__ import annotations

from h2.stream import StreamClosedBy

from composemesh.proxy.codec.h2 import frames
from composemesh.proxy.codec.h2.budget import JUDGING, Budget, Violation
from composemesh.proxy.codec.h2.core import (
    BY_END,
    BY_RESET,
    BY_THEIR_END,
    HALF_CLOSED_LOCAL,
    HALF_CLOSED_REMOTE,
    OPEN,
    Core,
    Stream,
)
from composemesh.proxy.codec.h2.events import Ended, Event, StreamReset
from composemesh.proxy.codec.h2.frames import Code
from composemesh.proxy.codec.h2.limits import H2_LIMITS, H2Limits


class Gone(Exception):
    """There is no such stream any more: reset, ended, or its connection was. Its event has told, or is about to."""


class State:
    """The state of one side of a connection, and the ways in which a stream ends."""

    def __init__(self, limits: H2Limits = H2_LIMITS, *, client: bool) -> None:
        self._limits = limits
        self._core = core = Core(limits, client=client)
        """h2's view, and the streams."""
        self._streams: dict[int, Stream] = core.streams  # type: ignore[assignment]
        self._budget = Budget(limits, client=client)
        self._judged = 0
        """How much of this turn went into asking h2."""
        self._events: list[Event] = []
        self._out = bytearray()
        self._window = limits.connection_window
        """Bytes that the peer may send on all streams together."""
        self._unread = 0
        """Bytes of it that are ours to give back."""
        self._shared = client
        """Whether many callers share the connection. Then what has come is given back to it at once: each stream's
        own window says how much of it may wait, and who stops reading stops nobody else."""
        self._short = False
        """Whether we had more to send than the connection's window took."""
        self._pings = 0
        """PINGs of ours that wait for their answer."""
        self.closing = False
        """Whether the peer takes no new streams."""
        self.draining = False
        """Whether we take none."""
        self.ended: Ended | None = None
        """What we told last, once the connection is over."""
        self._from_core()
        self._out += frames.window_update(0, limits.connection_window - 65535)

    def __repr__(self) -> str:
        state = self.ended or ("draining" if self.draining else "closing" if self.closing else "open")
        return f"<{type(self).__name__}: {state}, {len(self._streams)} streams, {self._budget}>"

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    # How it ends

    def _end(self, code: int, reason: str) -> None:
        """The peer has gone too far: the connection is over, and so is every stream."""
        self._core.clear_outbound_data_buffer()
        self._out += frames.goaway(self._last(), code)
        for stream in self._streams.values():
            self._events.append(StreamReset(stream.stream_id, code, False, reason))
        self._streams.clear()
        self.ended = Ended(code, reason)
        self._events.append(self.ended)

    def _last(self) -> int:
        """The peer's last stream that we took."""
        return self._core.highest_inbound_stream_id

    def _break(self, stream: Stream, code: int, reason: str) -> None:
        """Reset a stream because of what the peer sent on it."""
        self._out += frames.rst_stream(stream.stream_id, code)
        self._close(stream, BY_RESET)
        self._events.append(StreamReset(stream.stream_id, code, False, reason))
        self._budget.spend_broken("streams that had to be reset")

    def _their_end(self, stream: Stream) -> None:
        machine = stream.state_machine
        if machine.state == OPEN:
            machine.state = HALF_CLOSED_REMOTE
        else:
            self._close(stream, BY_THEIR_END)
            self._budget.request_done()

    def _our_end(self, stream: Stream) -> None:
        machine = stream.state_machine
        if machine.state == OPEN:
            machine.state = HALF_CLOSED_LOCAL
        else:
            self._close(stream, BY_END)
            self._budget.request_done()

    def _close(self, stream: Stream, how: StreamClosedBy) -> None:
        self._core.close(stream, how)
        if stream.unread and not self._shared:
            self._give_back(stream.unread)

    def _give_back(self, size: int) -> None:
        """So much of the connection's window is free again. The peer is told when it is half a stream's: were it half
        of the connection's, eight readers who stopped would stop all others."""
        self._unread += size
        if self._unread >= self._limits.stream_window >> 1:
            self._out += frames.window_update(0, self._unread)
            self._window += self._unread
            self._unread = 0

    def _live(self, number: int) -> Stream:
        stream = self._streams.get(number)
        if stream is None or stream.state_machine.state == HALF_CLOSED_LOCAL:
            raise Gone(number)
        return stream

    def _judge(self, frame: bytes, stream: Stream | None = None) -> None:
        """Let h2 say what comes of a frame. Raises what it raises."""
        self._judged += JUDGING
        self._core.receive_data(frame)
        self._from_core()
        if stream is not None and stream.closed:
            self._close(stream, BY_RESET)
            self._events.append(StreamReset(stream.stream_id, Code.STREAM_CLOSED, False, "a frame after its end"))

    def _from_core(self) -> None:
        self._out += self._core.data_to_send()

    def _check_not_idle(self, number: int, what: str) -> None:
        core = self._core
        ours = number % 2 == (1 if core.config.client_side else 0)
        highest = core.highest_outbound_stream_id if ours else core.highest_inbound_stream_id
        if not number or number > highest:
            raise Violation(Code.PROTOCOL_ERROR, f"{what} for a stream that never was")
