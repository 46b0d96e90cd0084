"""What a peer of an HTTP/2 connection may ask of us, as one value."""

from __future__ import annotations

from dataclasses import dataclass, replace

from composemesh.proxy.codec.parts import LIMITS, Limits


@dataclass(frozen=True, slots=True)
class H2Limits:
    """Limits of one connection; in bytes unless said otherwise. A refusal for one of them costs the whole connection
    only where going on would be an attacker's gain."""

    heads: Limits = LIMITS
    """Of one head: as in HTTP/1, size and number of fields. Beyond them a request is answered with 431."""
    header_list: int = 65536
    """SETTINGS_MAX_HEADER_LIST_SIZE, and what a block may unpack to before the connection ends: a header bomb."""
    block: int = 65536
    """A header block as it came, all its CONTINUATION frames together; beyond it the connection ends."""
    continuations: int = 32
    """CONTINUATION frames of one block (count). 60 KiB of head need four."""
    interims: int = 16
    """1xx responses before one response (count)."""
    streams: int = 100
    """SETTINGS_MAX_CONCURRENT_STREAMS: requests of the peer's at one time (count)."""
    frame: int = 16384
    """SETTINGS_MAX_FRAME_SIZE: the longest payload of one frame, 2**14 to 2**24 - 1."""
    first_window: int = 1 << 20
    """SETTINGS_INITIAL_WINDOW_SIZE: what a stream's window is until half of it has been read. At least 65535."""
    stream_window: int = 1 << 20
    """How much of one body may be on its way to us unread: at least 65535."""
    connection_window: int = 1 << 24
    """The same for all streams together: so much larger that fifteen readers who stopped do not stop a sixteenth."""
    noise: int = 400
    """Frames that bring no request on (count), above what useful work has earned."""
    broken: int = 100
    """Requests that came to nothing (count): reset before an answer, malformed, or one too many at a time."""


H2_LIMITS = H2Limits()
SERVERS_LIMITS = H2Limits(first_window=1 << 18)
"""Of a connection to a server. Many callers share it, and none of them may stop the others: what has come is given
back to its window at once, so that the streams' windows alone say how much may wait, and a hundred answers which
nobody reads are 25 MiB. Nor should one that is read be slowed: through a quarter of a megabyte it takes 1.5 times as
long as through a whole one."""


def limits_for(heads: Limits) -> H2Limits:
    """The limits of a connection whose heads may be other than usual: what carries a head is as large as it."""
    if heads is LIMITS:
        return H2_LIMITS
    room = max(H2_LIMITS.header_list, heads.head + 32 * heads.fields)  # RFC 9113, 6.5.2: 32 bytes on each field
    return replace(H2_LIMITS, heads=heads, header_list=room, block=room, continuations=max(32, room >> 11))
