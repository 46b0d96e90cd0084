"""The side that is asked."""

from __future__ import annotations

from composemesh.proxy.codec.h2 import frames
from composemesh.proxy.codec.h2.connection import Connection
from composemesh.proxy.codec.h2.core import BY_RESET, OPEN
from composemesh.proxy.codec.h2.events import RequestOpened, StreamReset
from composemesh.proxy.codec.h2.frames import Code
from composemesh.proxy.codec.h2.heads import request
from composemesh.proxy.codec.h2.limits import H2_LIMITS, H2Limits
from composemesh.proxy.codec.parts import Fields, Malformed


class ServerConnection(Connection):
    """Downstream: requests come, responses go."""

    def __init__(self, limits: H2Limits = H2_LIMITS) -> None:
        super().__init__(limits, client=False)

    def _header_block(self, number: int, block: bytes, end: bool) -> None:
        stream = self._streams.get(number)
        core = self._core
        if stream is None and number & 1 and number > core.highest_inbound_stream_id:
            self._open(number, core.decoder.decode(block), end)
        elif stream is not None and stream.state_machine.state == OPEN:
            self._trailers(stream, core.decoder.decode(block), end)
        else:
            if core.closed_by(number) is BY_RESET:
                core.decoder.decode(block)  # sent before our reset arrived; the table must see it all the same
                return
            self._budget.spend_broken("HEADERS frames for streams that await none")
            flags = frames.END_HEADERS | (frames.END_STREAM if end else 0)
            self._judge(frames.header(len(block), frames.HEADERS, flags, number) + block, stream)

    def _open(self, number: int, fields: Fields, end: bool) -> None:
        core = self._core
        if self.draining or len(self._streams) >= self._limits.streams:
            core.close(core.open(number), BY_RESET)
            self._out += frames.rst_stream(number, Code.REFUSED_STREAM)
            if self.draining:
                self._budget.spend_noise("streams after GOAWAY")  # at first they may have crossed it on the way
            else:
                self._budget.spend_broken("streams at one time")
            return
        stream = core.open(number)
        try:
            head = request(fields, end, self._limits.heads, unfit=core.decoder.unfit)
        except Malformed as problem:
            self._refuse(number, problem, end)
            return
        machine = stream.state_machine
        machine.headers_received = True
        stream.protocol = head.upgrade
        if head.body > 0:
            stream.left = head.body
        elif head.body == 0:
            stream.left = 0
        self._events.append(RequestOpened(number, head, end))
        if end:
            self._their_end(stream)

    def _refuse(self, number: int, problem: Malformed, end: bool) -> None:
        """Refuse a request's head: one that is merely too large with an answer, any other with a reset."""
        stream = self._streams[number]
        if problem.status == 400:
            self._break(stream, Code.PROTOCOL_ERROR, problem.reason)
            return
        block = self._core.encoder.block([(b":status", b"%d" % problem.status)])
        self._out += frames.headers(number, block, True, self._core.max_outbound_frame_size)
        self._out += frames.rst_stream(number, Code.NO_ERROR)
        self._close(stream, BY_RESET)
        self._events.append(StreamReset(number, Code.NO_ERROR, False, str(problem)))
        self._budget.spend_broken("requests with heads too large", 2)  # to read it all takes as long as some requests

    def send_head(self, stream: int, status: int, fields: Fields, end: bool = False) -> None:
        """Send a response's head: any number of 1xx, then one other. Raises Gone.

        Fields as in HTTP/1: names are lowered, and those for one connection only are left out. A 101 answers an
        extended CONNECT, as it does in HTTP/1.
        """
        live = self._live(stream)
        if status == 101 and live.protocol:
            status = 200
        if status >= 200:
            live.state_machine.headers_sent = True
        self._send_block(live, [(b":status", b"%d" % status), *fields], end)
