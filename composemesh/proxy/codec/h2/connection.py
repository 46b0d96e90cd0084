"""One HTTP/2 connection, either side: what both sides do with frames.

`receive` walks over whole frames. The common ones are handled in place; what is rare, or wrong, goes to h2, which
either answers it or ends the connection. Nothing here raises for what a peer sends: the last event is `Ended`.
"""

from __future__ import annotations

from collections.abc import Callable

from h2.exceptions import ProtocolError
from hpack.exceptions import HPACKError, OversizedHeaderListError
from hyperframe.exceptions import HyperframeError

from composemesh.proxy.codec.h2 import frames
from composemesh.proxy.codec.h2.budget import Budget, Violation
from composemesh.proxy.codec.h2.core import (
    BY_END,
    BY_RESET,
    BY_THEIR_END,
    BY_THEIR_RESET,
    HALF_CLOSED_LOCAL,
    HALF_CLOSED_REMOTE,
    OPEN,
    Core,
    Stream,
)
from composemesh.proxy.codec.h2.events import (
    BodyCame,
    Ended,
    Event,
    GoAway,
    PingAnswered,
    SettingsChanged,
    StreamReset,
    Trailers,
    WindowOpened,
)
from composemesh.proxy.codec.h2.frames import Code
from composemesh.proxy.codec.h2.heads import trailers as parse_trailers
from composemesh.proxy.codec.h2.limits import H2_LIMITS, H2Limits
from composemesh.proxy.codec.parts import Fields, Malformed


class Gone(Exception):
    """There is no such stream any more: reset, ended, or its connection was. Its event has told, or is about to."""


class Connection:
    """What server and client have in common. Sans-I/O: after each call, send what `data_to_send` gives."""

    def __init__(self, limits: H2Limits = H2_LIMITS, *, client: bool) -> None:
        self._limits = limits
        self._core = core = Core(limits, client=client)
        self._streams: dict[int, Stream] = core.streams  # type: ignore[assignment]
        self._budget = Budget(limits)
        self._out = bytearray()
        self._events: list[Event] = []
        self._held = bytearray()
        """The beginning of a frame."""
        self._need = 0
        """Bytes until it is whole."""
        self._preface = b"" if client else frames.PREFACE
        self._settled = False
        """Whether the peer's first SETTINGS have come: nothing may come before them (RFC 9113, 3.4)."""
        self._block: _Block | None = None
        self._window = limits.connection_window
        self._unread = 0
        """Bytes of the connection's window that are ours to give back."""
        self._short = False
        """Whether we had more to send than the connection's window took."""
        self._pings = 0
        self.closing = False
        """Whether the peer takes no new streams."""
        self.draining = False
        """Whether we take none."""
        self.ended: Ended | None = None
        self._handlers: tuple[_Handler, ...] = (
            self._data,
            self._headers,
            self._judged,  # PRIORITY: deprecated, but still to be checked
            self._rst_stream,
            self._settings,
            self._judged,  # PUSH_PROMISE: never asked for
            self._ping,
            self._goaway,
            self._window_update,
            self._continuation,
        )
        self._from_core()
        self._out += frames.window_update(0, limits.connection_window - 65535)

    def __repr__(self) -> str:
        state = self.ended or ("draining" if self.draining else "closing" if self.closing else "open")
        return f"<{type(self).__name__}: {state}, {len(self._streams)} streams, {self._budget}>"

    # What comes

    def receive(self, data: bytes, now: float = 0.0) -> list[Event]:
        """Take what was received, at that time (seconds, any clock that only goes forward; it fills the budgets)."""
        events = self._events = []
        if self.ended is not None:
            return events
        if now:
            self._budget.at(now)
        try:
            self._take(data)
        except Violation as problem:
            self._end(problem.code, problem.reason)
        except OversizedHeaderListError:
            self._end(Code.ENHANCE_YOUR_CALM, "header list too large")
        except HPACKError as problem:
            self._end(Code.COMPRESSION_ERROR, f"header compression: {problem}")
        except (ProtocolError, HyperframeError) as problem:
            self._end(getattr(problem, "error_code", Code.PROTOCOL_ERROR), str(problem))
        return events

    def _take(self, data: bytes) -> None:
        if self._held:
            self._held += data
            if len(self._held) < self._need:
                return
            data = bytes(self._held)
            self._held.clear()
        if self._preface:
            data = self._greet(data)
        at, size = 0, len(data)
        longest, handlers = self._limits.frame, self._handlers
        while size - at >= frames.HEADER:
            high, low, kind, flags, stream = frames.read_header(data, at)
            length = high << 8 | low
            if length > longest:
                raise Violation(Code.FRAME_SIZE_ERROR, "frame longer than allowed")
            payload = at + frames.HEADER
            at = payload + length
            if at > size:
                self._held += data[payload - frames.HEADER :]
                self._need = frames.HEADER + length
                return
            if self._block is not None and kind != frames.CONTINUATION:
                raise Violation(Code.PROTOCOL_ERROR, "a frame inside a header block")
            if not self._settled and (kind != frames.SETTINGS or flags & frames.ACK):
                raise Violation(Code.PROTOCOL_ERROR, "no SETTINGS at the beginning")
            if kind < 10:
                handlers[kind](stream & frames.HIGHEST_STREAM, flags, data, payload, at)
            else:
                self._budget.spend_noise("frames of unknown types")
        if at < size:
            self._held += data[at:]
            self._need = frames.HEADER

    def _greet(self, data: bytes) -> bytes:
        """Take the preface off (RFC 9113, 3.4)."""
        preface = self._preface
        if not data.startswith(preface[: len(data)]):
            raise Violation(Code.PROTOCOL_ERROR, "not the preface of HTTP/2")
        self._preface = preface[len(data) :]
        if not self._preface:
            self._core.receive_data(frames.PREFACE)
        return data[len(preface) :]

    def _end(self, code: int, reason: str) -> None:
        """The peer has gone too far."""
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

    # Frames

    def _data(self, number: int, flags: int, data: bytes, at: int, end: int) -> None:
        flow = end - at
        if flags & frames.PADDED:
            at, end = _unpadded(data, at, end)
        stream = self._streams.get(number)
        if (
            stream is None
            or not stream.state_machine.headers_received
            or stream.state_machine.state == HALF_CLOSED_REMOTE
        ):
            self._data_astray(number, flags, data, end, flow)
            return
        self._window -= flow
        stream.window -= flow
        if self._window < 0:
            raise Violation(Code.FLOW_CONTROL_ERROR, "more data than the connection's window")
        stream.unread += flow
        if stream.window < 0:
            self._break(stream, Code.FLOW_CONTROL_ERROR, "more data than the stream's window")
            return
        payload = data[at:end]
        ending = flags & frames.END_STREAM != 0
        size = end - at
        if stream.left >= 0:
            stream.left -= size
            if stream.left < 0 or (ending and stream.left):
                self._break(stream, Code.PROTOCOL_ERROR, "a body other than its Content-Length")
                return
        if ending:
            self._events.append(BodyCame(number, payload, flow, True))
            self._their_end(stream)
            return
        self._budget.body_came(size)
        if size:
            self._events.append(BodyCame(number, payload, flow, False))
        elif flow:
            self.acknowledge(number, flow)

    def _data_astray(self, number: int, flags: int, data: bytes, end: int, flow: int) -> None:
        """DATA where no body is awaited. It counts against the connection's window like any other."""
        stream = self._streams.get(number)
        if stream is None and self._core.closed_by(number) is BY_RESET:
            self._window -= flow  # sent before our reset arrived
            self._give_back(flow)
            return
        self._budget.spend_broken("DATA frames for streams that await none")
        self._judge(frames.header(0, frames.DATA, flags & frames.END_STREAM, number), stream)

    def _headers(self, number: int, flags: int, data: bytes, at: int, end: int) -> None:
        if not number:
            raise Violation(Code.PROTOCOL_ERROR, "HEADERS without a stream")
        if flags & frames.PADDED:
            at, end = _unpadded(data, at, end)
        if flags & frames.HAS_PRIORITY:
            if end - at < 5:
                raise Violation(Code.FRAME_SIZE_ERROR, "HEADERS too short")
            if int.from_bytes(data[at : at + 4], "big") & frames.HIGHEST_STREAM == number:
                raise Violation(Code.PROTOCOL_ERROR, "a stream that depends on itself")
            at += 5
        if flags & frames.END_HEADERS:
            self._header_block(number, data[at:end], flags & frames.END_STREAM != 0)
        else:
            self._block = _Block(number, flags, data[at:end])

    def _continuation(self, number: int, flags: int, data: bytes, at: int, end: int) -> None:
        block = self._block
        if block is None or block.stream != number:
            raise Violation(Code.PROTOCOL_ERROR, "CONTINUATION of nothing")
        block.pieces.append(data[at:end])
        block.size += end - at
        if block.size > self._limits.block or len(block.pieces) > self._limits.continuations:
            raise Violation(Code.ENHANCE_YOUR_CALM, "header block too long")
        if flags & frames.END_HEADERS:
            self._block = None
            self._header_block(number, b"".join(block.pieces), block.flags & frames.END_STREAM != 0)

    def _header_block(self, number: int, block: bytes, end: bool) -> None:
        raise NotImplementedError

    def _trailers(self, stream: Stream, fields: Fields, end: bool) -> None:
        try:
            if not end or stream.left > 0:
                raise Malformed(
                    400, "trailers without the end" if not end else "body shorter than its Content-Length"
                )
            fields = parse_trailers(fields, self._limits.heads, unfit=self._core.decoder.unfit)
        except Malformed as problem:
            self._break(stream, Code.PROTOCOL_ERROR, problem.reason)
            return
        self._events.append(Trailers(stream.stream_id, fields))
        self._their_end(stream)

    def _rst_stream(self, number: int, flags: int, data: bytes, at: int, end: int) -> None:
        if end - at != 4:
            raise Violation(Code.FRAME_SIZE_ERROR, "RST_STREAM of a wrong size")
        self._check_not_idle(number, "RST_STREAM")
        stream = self._streams.get(number)
        if stream is None:
            self._budget.spend_noise("RST_STREAM frames")
            return
        self._close(stream, BY_THEIR_RESET)
        self._events.append(StreamReset(number, int.from_bytes(data[at:end], "big"), True))
        self._reset_came(stream)

    def _reset_came(self, stream: Stream) -> None:
        """Who resets before there is an answer makes us work for nothing; who has seen some of it does not."""
        if stream.answered:
            self._budget.spend_noise("RST_STREAM frames")
        else:
            self._budget.spend_broken("requests reset before an answer")

    def _settings(self, number: int, flags: int, data: bytes, at: int, end: int) -> None:
        self._budget.spend_noise("SETTINGS frames", 1 + (end - at) // 48)
        self._settled = True
        self._judge(data[at - frames.HEADER : end])
        if not flags & frames.ACK:
            remote = self._core.remote_settings
            self._events.append(SettingsChanged(remote.max_concurrent_streams, remote.enable_connect_protocol == 1))
            self._events.append(WindowOpened(0))

    def _ping(self, number: int, flags: int, data: bytes, at: int, end: int) -> None:
        if number or end - at != 8:
            raise Violation(Code.PROTOCOL_ERROR if number else Code.FRAME_SIZE_ERROR, "malformed PING")
        if flags & frames.ACK and self._pings:
            self._pings -= 1
            self._events.append(PingAnswered(data[at:end]))
            return
        self._budget.spend_noise("PING frames")
        if not flags & frames.ACK:
            self._out += frames.ping(data[at:end], frames.ACK)

    def _goaway(self, number: int, flags: int, data: bytes, at: int, end: int) -> None:
        if number or end - at < 8:
            raise Violation(Code.PROTOCOL_ERROR if number else Code.FRAME_SIZE_ERROR, "malformed GOAWAY")
        self._budget.spend_noise("GOAWAY frames")
        last = int.from_bytes(data[at : at + 4], "big") & frames.HIGHEST_STREAM
        code = int.from_bytes(data[at + 4 : at + 8], "big")
        self.closing = True
        self._events.append(GoAway(code, last))
        self._gone_away(last)

    def _gone_away(self, last: int) -> None:
        """For a client: those streams are not served."""

    def _window_update(self, number: int, flags: int, data: bytes, at: int, end: int) -> None:
        if end - at != 4:
            raise Violation(Code.FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong size")
        increment = int.from_bytes(data[at:end], "big") & frames.LARGEST_WINDOW
        self._budget.spend_noise("WINDOW_UPDATE frames")
        if not number:
            window = self._core.outbound_flow_control_window + increment
            if not increment or window > frames.LARGEST_WINDOW:
                code = Code.FLOW_CONTROL_ERROR if increment else Code.PROTOCOL_ERROR
                raise Violation(code, "WINDOW_UPDATE by nothing, or by too much")
            self._core.outbound_flow_control_window = window
            if self._short:
                self._short = False
                self._events.append(WindowOpened(0))
            return
        stream = self._streams.get(number)
        if stream is None:
            self._check_not_idle(number, "WINDOW_UPDATE")
            return
        window = stream.outbound_flow_control_window + increment
        if not increment or window > frames.LARGEST_WINDOW:
            code = Code.FLOW_CONTROL_ERROR if increment else Code.PROTOCOL_ERROR
            self._break(stream, code, "WINDOW_UPDATE by nothing, or by too much")
            return
        stream.outbound_flow_control_window = window
        if stream.short:
            stream.short = False
            self._events.append(WindowOpened(number))

    def _judged(self, number: int, flags: int, data: bytes, at: int, end: int) -> None:
        self._budget.spend_noise("PRIORITY frames")
        self._judge(data[at - frames.HEADER : end])

    def _judge(self, frame: bytes, stream: Stream | None = None) -> None:
        """Let h2 say what comes of a frame. Raises what it raises."""
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

    # What becomes of streams

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

    def _close(self, stream: Stream, how: object) -> None:
        self._core.close(stream, how)  # type: ignore[arg-type]
        if stream.unread:
            self._give_back(stream.unread)

    def _give_back(self, size: int) -> None:
        """So much of the connection's window is free again. The peer is told when that is half of it."""
        self._unread += size
        if self._unread >= self._limits.connection_window >> 1:
            self._out += frames.window_update(0, self._unread)
            self._window += self._unread
            self._unread = 0

    def _live(self, number: int) -> Stream:
        stream = self._streams.get(number)
        if stream is None or stream.state_machine.state == HALF_CLOSED_LOCAL:
            raise Gone(number)
        return stream

    # What goes

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
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

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
        self._give_back(size)
        if live.state_machine.state == HALF_CLOSED_REMOTE:
            return
        free = self._limits.stream_window - live.window - live.unread
        if free >= self._limits.stream_window >> 1:
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


class _Block:
    """A header block whose end has not come yet."""

    __slots__ = ("flags", "pieces", "size", "stream")

    def __init__(self, stream: int, flags: int, piece: bytes) -> None:
        self.stream = stream
        self.flags = flags
        self.pieces = [piece]
        self.size = len(piece)


def _unpadded(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Where a padded payload begins and ends (RFC 9113, 6.1). Raises Violation."""
    if at == end:
        raise Violation(Code.FRAME_SIZE_ERROR, "padded frame without a length of padding")
    at, end = at + 1, end - data[at]
    if at > end:
        raise Violation(Code.PROTOCOL_ERROR, "padding longer than its frame")
    return at, end


_Handler = Callable[[int, int, bytes, int, int], None]
