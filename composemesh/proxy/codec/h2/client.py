"""The side that asks."""

from __future__ import annotations

from composemesh.proxy.codec.h2 import frames
from composemesh.proxy.codec.h2.connection import Connection
from composemesh.proxy.codec.h2.core import BY_RESET, BY_THEIR_RESET, HALF_CLOSED_REMOTE, Stream
from composemesh.proxy.codec.h2.events import InterimCame, ResponseHeadCame, StreamReset
from composemesh.proxy.codec.h2.frames import Code
from composemesh.proxy.codec.h2.heads import response
from composemesh.proxy.codec.h2.limits import SERVERS_LIMITS, H2Limits
from composemesh.proxy.codec.h2.state import Gone
from composemesh.proxy.codec.parts import Fields, Malformed


class ClientConnection(Connection):
    """Upstream: requests go, responses come."""

    def __init__(self, limits: H2Limits = SERVERS_LIMITS) -> None:
        super().__init__(limits, client=True)

    def _last(self) -> int:
        return 0

    @property
    def room(self) -> int:
        """How many more requests can be sent now."""
        if self.closing or self.draining or self.ended is not None:
            return 0
        if self._core.highest_outbound_stream_id >= frames.HIGHEST_STREAM - 2:
            return 0
        return max(0, self._core.remote_settings.max_concurrent_streams - len(self._streams))

    def send_head(
        self,
        method: bytes,
        authority: bytes,
        path: bytes,
        fields: Fields,
        end: bool = False,
        *,
        scheme: bytes = b"http",
        upgrade: bytes = b"",
    ) -> int:
        """Send a request's head on a new stream, and return the stream. Raises Gone where there is no `room`.

        Fields as in HTTP/1: names are lowered, and Host and those for one connection only are left out. `upgrade`
        makes it an extended CONNECT to that protocol.
        """
        if not self.room:
            raise Gone("no room for another stream")
        core = self._core
        stream = core.open(core.highest_outbound_stream_id + 2 if core.highest_outbound_stream_id else 1)
        stream.request_method = method
        machine = stream.state_machine
        machine.headers_sent = True
        if upgrade:
            stream.protocol = upgrade
            pseudo = [(b":method", b"CONNECT"), (b":protocol", upgrade)]
        elif method == b"CONNECT":
            pseudo = [(b":method", method), (b":authority", authority)]
        else:
            pseudo = [(b":method", method)]
        if upgrade or method != b"CONNECT":
            pseudo += [(b":scheme", scheme), (b":path", path), (b":authority", authority)]
        self._send_block(stream, [*pseudo, *fields], end)
        return stream.stream_id

    def _header_block(self, number: int, block: bytes, end: bool) -> None:
        stream = self._streams.get(number)
        core = self._core
        if stream is None or stream.state_machine.state == HALF_CLOSED_REMOTE:
            if stream is None and core.closed_by(number) is BY_RESET:
                core.decoder.decode(block)  # sent before our reset arrived; the table must see it all the same
                return
            if not number & 1 or number > core.highest_outbound_stream_id:
                self._check_not_idle(number, "HEADERS")
            self._budget.spend_broken("HEADERS frames for streams that await none")
            flags = frames.END_HEADERS | (frames.END_STREAM if end else 0)
            self._judge(frames.header(len(block), frames.HEADERS, flags, number) + block, stream)
            return
        fields = core.decoder.decode(block)
        if stream.state_machine.headers_received:
            self._trailers(stream, fields, end)
        else:
            self._response(stream, fields, end)

    def _response(self, stream: Stream, fields: Fields, end: bool) -> None:
        try:
            method, upgrade = stream.request_method or b"", stream.protocol
            head = response(fields, method, upgrade, end, self._limits.heads, unfit=self._core.decoder.unfit)
            if head.status < 200 and not head.upgrade:
                stream.interims += 1
                if stream.interims > self._limits.interims:
                    raise Malformed(400, "too many 1xx responses")
                self._events.append(InterimCame(stream.stream_id, head))
                return
        except Malformed as problem:
            self._break(stream, Code.PROTOCOL_ERROR, problem.reason)
            return
        stream.state_machine.headers_received = True
        if head.body >= 0:
            stream.left = head.body
        self._events.append(ResponseHeadCame(stream.stream_id, head, end))
        if end:
            self._their_end(stream)

    def _reset_came(self, stream: Stream) -> None:
        """A server that resets spoils its own answers: nothing to count."""

    def _after_our_reset(self, flow: int) -> None:
        """A server may be far ahead of a client that gives up, on a connection others share: nothing to count."""

    def _gone_away(self, last: int) -> None:
        for stream in [stream for number, stream in self._streams.items() if number > last]:
            self._close(stream, BY_THEIR_RESET)
            self._events.append(StreamReset(stream.stream_id, Code.REFUSED_STREAM, True))
