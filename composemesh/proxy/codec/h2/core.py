"""h2's connection with streams of ours: the same state, in fewer objects, and with lean header compression."""

from __future__ import annotations

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.settings import SettingCodes, Settings
from h2.stream import H2Stream, H2StreamStateMachine, StreamClosedBy, StreamState

from composemesh.proxy.codec.h2.hpack import LeanDecoder, LeanEncoder
from composemesh.proxy.codec.h2.limits import H2Limits

OPEN, HALF_CLOSED_REMOTE, HALF_CLOSED_LOCAL, CLOSED = (
    StreamState.OPEN, StreamState.HALF_CLOSED_REMOTE, StreamState.HALF_CLOSED_LOCAL, StreamState.CLOSED,
)  # fmt: skip
BY_END, BY_THEIR_END, BY_RESET, BY_THEIR_RESET = (
    StreamClosedBy.SEND_END_STREAM, StreamClosedBy.RECV_END_STREAM,
    StreamClosedBy.SEND_RST_STREAM, StreamClosedBy.RECV_RST_STREAM,
)  # fmt: skip


class StreamMachine(H2StreamStateMachine):
    """h2's, its first values kept by the class."""

    client = None
    headers_sent = trailers_sent = headers_received = trailers_received = None
    stream_closed_by = None

    def __init__(self, stream_id: int, client: bool) -> None:
        self.stream_id = stream_id
        self.state = OPEN
        self.client = client


class Stream(H2Stream):
    """h2's, its first values kept by the class, and with what our side keeps of a stream."""

    max_outbound_frame_size = None
    request_method: bytes | None = None
    _expected_content_length = None
    _actual_content_length = 0
    _authority = None
    _inbound_window_manager = None  # type: ignore[assignment]  # `window` and `unread` do its work

    unread = 0
    """Bytes received and not yet acknowledged."""
    left = -1
    """Bytes of body still to come, where a Content-Length says so."""
    short = False
    """Whether we had more to send than its window took."""
    answered = False
    """Whether some of our body has been sent."""
    protocol = b""
    """The protocol that an extended CONNECT asked for."""
    interims = 0

    def __init__(self, stream_id: int, config: H2Configuration, window: int, send_window: int, client: bool) -> None:
        self.stream_id = stream_id
        self.config = config
        self.window = window
        """Bytes that the peer may send."""
        self.outbound_flow_control_window = send_window
        self.state_machine = StreamMachine(stream_id, client)


class _Values(list[int]):
    """The values of one setting, in effect and announced. h2 takes a deque, which is eight times as large."""

    __slots__ = ()

    def popleft(self) -> int:
        return self.pop(0)


def _slim(settings: Settings) -> None:
    settings._settings = {code: _Values(values) for code, values in settings._settings.items()}  # type: ignore[misc]


class Core(H2Connection):
    """h2's connection. It judges the frames that are handed to it, on streams that are opened and closed outside."""

    decoder: LeanDecoder
    encoder: LeanEncoder

    MAX_CLOSED_STREAMS = 1024
    """Of so many streams it is remembered how they ended. Later ones are taken to have ended long ago."""

    def __init__(self, limits: H2Limits, *, client: bool) -> None:
        super().__init__(
            H2Configuration(
                client_side=client,
                header_encoding=None,
                validate_inbound_headers=False,  # `heads` is stricter
                normalize_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        values = {
            SettingCodes.INITIAL_WINDOW_SIZE: limits.first_window,
            SettingCodes.MAX_FRAME_SIZE: limits.frame,
            SettingCodes.MAX_HEADER_LIST_SIZE: limits.header_list,
        }
        if client:
            values[SettingCodes.ENABLE_PUSH] = 0
        else:
            values[SettingCodes.MAX_CONCURRENT_STREAMS] = limits.streams
            values[SettingCodes.ENABLE_CONNECT_PROTOCOL] = 1
        self.local_settings = Settings(client=client, initial_values=values)
        self.max_inbound_frame_size = limits.frame
        self.stream_window = limits.first_window
        self.send_window = self.remote_settings.initial_window_size
        """What a new stream may send at once: as the peer's last SETTINGS say."""
        self.decoder = LeanDecoder(limits.header_list)
        self.encoder = LeanEncoder()
        self.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 100
        self.remote_settings.acknowledge()
        _slim(self.local_settings)
        _slim(self.remote_settings)
        self.initiate_connection()
        # From here on h2 would wait for its own send_headers or for a HEADERS frame, and both go past it.
        self.state_machine.state = ConnectionState.CLIENT_OPEN if client else ConnectionState.SERVER_OPEN

    def open(self, stream_id: int) -> Stream:
        """A new stream, open on both sides."""
        client = self.config.client_side
        stream = self.streams[stream_id] = Stream(
            stream_id,
            self.config,
            self.stream_window,
            self.send_window,
            client,
        )
        if client:
            self.highest_outbound_stream_id = stream_id
        else:
            self.highest_inbound_stream_id = stream_id
        return stream

    def close(self, stream: Stream, how: StreamClosedBy) -> None:
        """Both sides are done with it."""
        machine = stream.state_machine
        machine.state = CLOSED
        machine.stream_closed_by = how
        del self.streams[stream.stream_id]
        self._closed_streams[stream.stream_id] = how

    def closed_by(self, stream_id: int) -> StreamClosedBy | None:
        """How a stream ended that is gone, as far as that is remembered."""
        return self._closed_streams.get(stream_id)
