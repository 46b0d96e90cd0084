"""One HTTP/2 connection, either side: the frame loop, bodies, and header blocks up to their decoding.

`receive` walks over whole frames. The common ones are handled in place; what is rare, or wrong, goes to h2, which
either answers it or ends the connection. Nothing here raises for what a peer sends: the last event is `Ended`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from h2.exceptions import ProtocolError
from hpack.exceptions import HPACKError, OversizedHeaderListError
from hyperframe.exceptions import HyperframeError

from composemesh.proxy.codec.h2 import frames
from composemesh.proxy.codec.h2.budget import PIECE, WORK, Violation
from composemesh.proxy.codec.h2.control import Control
from composemesh.proxy.codec.h2.core import BY_RESET, HALF_CLOSED_REMOTE, Stream
from composemesh.proxy.codec.h2.events import BodyCame, Event, Trailers
from composemesh.proxy.codec.h2.frames import Code
from composemesh.proxy.codec.h2.heads import trailers as parse_trailers
from composemesh.proxy.codec.h2.limits import H2_LIMITS, H2Limits
from composemesh.proxy.codec.parts import Fields, Malformed


class Connection(Control):
    """What server and client have in common. Sans-I/O: after each call, send what `data_to_send` gives."""

    def __init__(self, limits: H2Limits = H2_LIMITS, *, client: bool) -> None:
        super().__init__(limits, client=client)
        self._held = bytearray()
        """The beginning of a frame."""
        self._need = 0
        """Bytes that it and its header have, as far as is known."""
        self._waiting = b""
        """What has come and is left for the next turn."""
        self._from = 0
        """Where in it."""
        self._preface = b"" if client else frames.PREFACE
        """What of the preface has not come yet."""
        self._settled = False
        """Whether the peer's first SETTINGS have come: nothing may come before them (RFC 9113, 3.4)."""
        self._block: _Block | None = None
        self._handlers: tuple[_Handler, ...] = (
            self._data,
            self._headers,
            self._priority,
            self._rst_stream,
            self._settings,
            self._push_promise,
            self._ping,
            self._goaway,
            self._window_update,
            self._continuation,
        )

    @property
    def unfinished(self) -> bool:
        """Whether the peer is in the middle of what it should bring to an end soon: the preface with its SETTINGS, a
        frame, a header block. Give it a deadline, as a slow head of HTTP/1 has one."""
        return not self._settled or self._block is not None or bool(self._held)

    @property
    def waiting(self) -> bool:
        """Whether some of what was received is left to be taken."""
        return bool(self._waiting)

    @property
    def wasteful(self) -> bool:
        """Whether the peer wastes so much work that everybody else should come first."""
        return self._budget.wasteful

    @property
    def proven(self) -> bool:
        """Whether the peer may be taken for one that means what it asks for: enough of it has come to something."""
        return self._budget.proven

    def receive(self, data: bytes, now: float = 0.0) -> list[Event]:
        """Take what was received, at that time (seconds, any clock that only goes forward; it fills the budgets)."""
        return self._receive(data, now, sys.maxsize)

    def receive_some(self, data: bytes, now: float) -> list[Event]:
        """The same, but no more at a time than is fair to others. While there is something `waiting`, let them have
        their turn and come again with nothing."""
        return self._receive(data, now, self._budget.turn)

    def _receive(self, data: bytes, now: float, turn: int) -> list[Event]:
        events = self._events = []
        if self.ended is not None:
            return events
        if now:
            self._budget.at(now)
        try:
            self._take(data, turn)
        except Violation as problem:
            self._end(problem.code, problem.reason)
        except OversizedHeaderListError:
            self._end(Code.ENHANCE_YOUR_CALM, "header list too large")
        except HPACKError as undecodable:
            self._end(Code.COMPRESSION_ERROR, f"header compression: {undecodable}")
        except (ProtocolError, HyperframeError) as refusal:
            self._end(getattr(refusal, "error_code", Code.PROTOCOL_ERROR), str(refusal))
        return events

    def _take(self, data: bytes, turn: int) -> None:
        at = self._judged = 0
        if self._waiting:
            at = self._from
            if data:
                data, at = self._waiting[at:] + data, 0
            else:
                data = self._waiting
            self._waiting = b""
        elif self._held:
            self._held += data
            if len(self._held) < self._need:
                return
            data = bytes(self._held)
            self._held.clear()
        if self._preface:
            data = self._greet(data)
        size = len(data)
        longest, handlers = self._limits.frame, self._handlers
        while size - at >= frames.HEADER:
            high, low, kind, flags, stream = frames.read_header(data, at)
            if turn <= self._judged and kind != frames.RST_STREAM:  # which may spare us what was to be next
                self._waiting, self._from = data, at
                return
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
                turn -= WORK[kind]
                if kind and length > PIECE:
                    turn -= length // PIECE
                handlers[kind](stream & frames.HIGHEST_STREAM, flags, data, payload, at)
            else:
                turn -= 1
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
            self._data_astray(number, flags, flow)
            return
        self._window -= flow
        stream.window -= flow
        if self._window < 0:
            raise Violation(Code.FLOW_CONTROL_ERROR, "more data than the connection's window")
        if self._shared:
            self._give_back(flow)
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

    def _data_astray(self, number: int, flags: int, flow: int) -> None:
        """DATA where no body is awaited. It counts against the connection's window like any other."""
        self._window -= flow
        if self._window < 0:
            raise Violation(Code.FLOW_CONTROL_ERROR, "more data than the connection's window")
        self._give_back(flow)
        stream = self._streams.get(number)
        if stream is None and self._core.closed_by(number) is BY_RESET:
            self._after_our_reset(flow)
            return
        self._budget.spend_broken("DATA frames for streams that await none")
        self._judge(frames.header(0, frames.DATA, flags & frames.END_STREAM, number), stream)

    def _after_our_reset(self, flow: int) -> None:
        """DATA that was under way when we reset its stream, unless it goes on and on."""
        self._budget.body_astray(flow)

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
