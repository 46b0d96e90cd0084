"""The frames that are about the connection, or end a stream: little is in them, and much can be done with them."""

from __future__ import annotations

from composemesh.proxy.codec.h2 import frames
from composemesh.proxy.codec.h2.budget import JUDGED, Violation
from composemesh.proxy.codec.h2.core import BY_THEIR_RESET, Stream
from composemesh.proxy.codec.h2.events import GoAway, PingAnswered, SettingsChanged, StreamReset, WindowOpened
from composemesh.proxy.codec.h2.frames import Code
from composemesh.proxy.codec.h2.sending import Sending


class Control(Sending):
    """One method for each such frame. A payload lies in `data` from `at` to `end`; all raise Violation."""

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
        # Six bytes a setting: whoever sends more than an honest peer has a use for is done before they are read.
        self._budget.spend_noise("SETTINGS frames", JUDGED + (end - at) // 32)
        if flags & frames.ACK and end > at:
            raise Violation(Code.FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS with a payload")
        self._settled = True
        self._judge(frames.known_settings(number, flags, data[at:end]))
        if not flags & frames.ACK:
            remote = self._core.remote_settings
            self._core.send_window = remote.initial_window_size
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

    def _push_promise(self, number: int, flags: int, data: bytes, at: int, end: int) -> None:
        raise Violation(Code.PROTOCOL_ERROR, "PUSH_PROMISE, which nobody may send here")

    def _priority(self, number: int, flags: int, data: bytes, at: int, end: int) -> None:
        """Deprecated, but still to be checked (RFC 9113, 5.3.2 and 6.3)."""
        self._budget.spend_noise("PRIORITY frames", JUDGED)
        self._judge(data[at - frames.HEADER : end])
