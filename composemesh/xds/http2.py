"""One HTTP/2 connection of a client (RFC 9113), by the h2 library, and the calls on it.

The proxy has a leaner HTTP/2, made for thousands of streams a second; a discovery client has one, for days, and h2
as it comes does for that. What it lacks stands here, and in `outlet`: the reader never waits for a call, and a call's
window opens as it takes what came, so that no call can stall another; a peer that takes nothing, says nothing, or
makes work for nothing is left, and so is who announces a frame that is too long, before h2 keeps any of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
import trio
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from composemesh.runtime.groups import leaves
from composemesh.xds import grpc
from composemesh.xds.attention import WHY, Attention, Verdict
from composemesh.xds.budget import RESET, Budget, Exhausted
from composemesh.xds.call import Call
from composemesh.xds.frames import Frames
from composemesh.xds.grpc import RpcError, Status
from composemesh.xds.outlet import Outlet

log = structlog.get_logger()

MOST_CALLS = 16
"""At a time; an Envoy with a stream for each type has six."""
WINDOW = 256 << 10
"""Bytes that a call may send ahead of what is taken."""
READ = 16 << 10
"""Bytes read at a time: the smallest frames in them are judged in milliseconds."""
LOOK = 5.0
"""Seconds between looks at who is silent or idle."""

Answer = Callable[[Call], Awaitable[object]]


class Connection:
    """One connection, from its first byte to its last."""

    def __init__(self, stream: trio.abc.Stream, answer: Answer) -> None:
        """`answer` is run for each request, in a task of its own."""
        self.why = ""
        """Why it ended, where there is anything to say of that."""
        self._stream = stream
        self._answer = answer
        self._calls: dict[int, Call] = {}
        self._budget = Budget(trio.current_time())
        self._frames = Frames()
        self._outlet = Outlet(stream)
        self._attention = Attention(trio.current_time())
        self._draining = False
        self._drained = trio.Event()
        self._over = trio.CancelScope()
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self._h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: MOST_CALLS,
                SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
                SettingCodes.MAX_HEADER_LIST_SIZE: 16 << 10,
                SettingCodes.ENABLE_CONNECT_PROTOCOL: 0,
            },
        )

    def __repr__(self) -> str:
        return f"<Connection {len(self._calls)} calls, {self._outlet!r}, {self._budget!r}>"

    @property
    def busy(self) -> bool:
        """Whether there is a call on it."""
        return bool(self._calls)

    async def run(self, first: bytes = b"") -> None:
        """Serve until either side ends it; `first` was read already. Closes the stream. Never raises for what a
        client does; if cancelled, what was being sent may be torn."""
        try:
            async with trio.open_nursery() as self._nursery:
                with self._over:
                    self._nursery.start_soon(self._write)
                    self._nursery.start_soon(self._look_after)
                    self._nursery.start_soon(self._end_when_drained)
                    self._h2.initiate_connection()
                    self._h2.increment_flow_control_window(MOST_CALLS * WINDOW)  # no call takes another's share
                    self._flush()
                    await self._read(first)
                self._nursery.cancel_scope.cancel()
        finally:
            await trio.aclose_forcefully(self._stream)

    def drain(self) -> None:
        """Say goodbye: no more calls, those under way end UNAVAILABLE, and the connection with them."""
        if self._draining:
            return
        self._draining = True
        # Not h2's close_connection, after which no trailers could be sent.
        goodbye = GoAwayFrame(0, last_stream_id=self._h2.highest_inbound_stream_id, error_code=0)
        self._outlet.add(goodbye.serialize())
        for call in self._calls.values():
            call.scope.cancel()
        self._end_if_drained()

    # === reading ===

    async def _read(self, data: bytes) -> None:
        while True:
            if not data:
                try:
                    data = bytes(await self._stream.receive_some(READ))
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return
                if not data:
                    return
            self._attention.heard(trio.current_time())
            try:
                self._frames.feed(data)
                for event in self._h2.receive_data(data):
                    self._take(event)
            except (ProtocolError, Exhausted) as problem:
                self.why = "too many frames for nothing" if isinstance(problem, Exhausted) else _said(problem)
                code = ErrorCodes.ENHANCE_YOUR_CALM if isinstance(problem, Exhausted) else problem.error_code
                await self._last_words(code)
                return
            self._flush()
            data = b""

    def _take(self, event: events.Event) -> None:
        number = getattr(event, "stream_id", None) or 0
        call = self._calls.get(number)
        match event:
            case events.RequestReceived():
                self._spend(2)
                self._open(number, [(bytes(name), bytes(value)) for name, value in event.headers or ()])
            case events.DataReceived():
                data, flow = bytes(event.data or b""), event.flow_controlled_length or 0
                if len(data) < grpc.PREFIX:
                    self._spend(1)
                if call is not None and not call.over:
                    call.came(data, flow)
                elif flow:
                    self.acknowledge(flow, number)  # nobody wants it: the connection's window is everybody's
            case events.StreamEnded():
                if call is not None:
                    call.ended()
            case events.StreamReset():
                self._spend(RESET)
                if call is not None:
                    call.over = True
                    call.scope.cancel()
            case events.WindowUpdated() | events.RemoteSettingsChanged():
                self._spend(1)
                for each in (call,) if call is not None else tuple(self._calls.values()):
                    each.may_send()
            case events.ConnectionTerminated():
                self.why = "" if not event.error_code else f"the client ended it: {event.error_code!r:.40}"
            case _:
                self._spend(1)

    def _spend(self, amount: int) -> None:
        self._budget.spend(amount, trio.current_time())

    def _open(self, number: int, headers: grpc.Headers) -> None:
        call = self._calls[number] = Call(self, number, headers)
        self._attention.called()
        if self._draining:
            call.scope.cancel()
        self._nursery.start_soon(self._serve, call)

    async def _serve(self, call: Call) -> None:
        try:
            with call.scope:
                try:
                    await self._answer(call)
                except* RpcError as problems:
                    problem = next(leaves(problems))
                    assert isinstance(problem, RpcError)
                    call.fail(problem.status, problem.message)
                except* trio.TooSlowError:
                    call.fail(Status.UNAVAILABLE, "the client does not open its window")
                except* Exception as problems:
                    log.error("xds call failed", path=call.path[:100], problem=repr(next(leaves(problems))))
                    call.fail(Status.INTERNAL, "the mesh made a mistake: its log has the details")
            if call.scope.cancelled_caught:
                call.fail(Status.UNAVAILABLE, "the mesh ends, or is overtaxed: try again")
        finally:
            del self._calls[call.number]
            self._attention.ended(trio.current_time())
            self._end_if_drained()

    # === writing ===

    def acknowledge(self, size: int, number: int) -> None:
        """Give the windows back what a call took."""
        try:
            self._h2.acknowledge_received_data(size, number)
        except ProtocolError:
            pass  # the connection closed meanwhile
        self._flush()

    def say(self, call: Call, headers: grpc.Headers) -> None:
        """Send a head; to a call that is closed already, nothing."""
        try:
            self._h2.send_headers(call.number, headers)
        except ProtocolError:
            pass
        self._flush()

    def put(self, call: Call, data: memoryview) -> int:
        """Send as much of a body as the windows take; how much that was."""
        try:
            size = min(self._h2.local_flow_control_window(call.number), self._h2.max_outbound_frame_size, len(data))
            if size <= 0:
                return 0
            self._h2.send_data(call.number, bytes(data[:size]))
        except ProtocolError:
            return len(data)  # the client gave the call up: its scope is cancelled
        self._budget.earn(2)  # the windows that it will open again
        self._flush()
        return size

    def finish(self, call: Call, headers: grpc.Headers | None) -> None:
        """End our side of a call; a client that still sends is told that it need not."""
        try:
            if headers:
                self._h2.send_headers(call.number, headers, end_stream=True)
            else:
                self._h2.end_stream(call.number)
            if call.number in self._h2.streams and not self._h2.streams[call.number].closed:
                self._h2.reset_stream(call.number, ErrorCodes.NO_ERROR)
        except (ProtocolError, KeyError):
            pass
        self._flush()

    async def room_for_more(self) -> None:
        """Wait while too much waits for the socket."""
        await self._outlet.room()

    def _flush(self) -> None:
        self._outlet.add(self._h2.data_to_send())

    async def _write(self) -> None:
        self._end(await self._outlet.run())

    async def _last_words(self, code: ErrorCodes) -> None:
        try:
            self._h2.close_connection(code)
        except ProtocolError:
            pass  # h2 has said why already
        self._flush()
        await self._outlet.delivered()

    # === ending ===

    async def _look_after(self) -> None:
        while True:
            await trio.sleep(LOOK)
            verdict = self._attention.look(trio.current_time(), busy=self.busy)
            if verdict is Verdict.ASK:
                self._h2.ping(b"alive?  ")
                self._flush()
            elif verdict in WHY:
                self._end(WHY[verdict])

    def _end_if_drained(self) -> None:
        if self._draining and not self._calls:
            self._drained.set()

    async def _end_when_drained(self) -> None:
        await self._drained.wait()
        await self._outlet.delivered()
        self._end("")

    def _end(self, why: str) -> None:
        self.why = self.why or why
        self._over.cancel()


def _said(problem: ProtocolError) -> str:
    return f"no HTTP/2: {str(problem) or type(problem).__name__}"[:200]
