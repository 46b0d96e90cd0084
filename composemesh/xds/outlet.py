"""What is on its way to one client's socket. One task alone writes, so that no cancelled call tears a frame."""

from __future__ import annotations

import trio

HIGH = 256 << 10
"""Bytes waiting for the socket, beyond which calls wait."""
STALLED = 30.0
"""Seconds in which the socket must take them."""
LAST_WORDS = 1.0
"""Seconds to deliver what is to be said before the connection closes."""


class Outlet:
    """Bytes that wait, and the task that writes them."""

    def __init__(self, stream: trio.abc.SendStream) -> None:
        self._stream = stream
        self._waiting = bytearray()
        self._wake = trio.Event()
        self._room = trio.Event()
        self._sending = False

    def __repr__(self) -> str:
        return f"<Outlet {len(self._waiting)} bytes to go>"

    def add(self, data: bytes) -> None:
        """More to write. Never waits: whoever has much to say asks for `room` first."""
        self._waiting += data
        if self._waiting:
            self._wake.set()

    async def room(self) -> None:
        """Wait while too much waits for the socket."""
        while len(self._waiting) > HIGH:
            await self._room.wait()

    async def delivered(self) -> None:
        """Wait until all of it was written, for a second at most."""
        with trio.move_on_after(LAST_WORDS):
            while self._waiting or self._sending:
                await self._room.wait()

    async def run(self) -> str:
        """Write until the socket takes no more; why, if there is anything to say of that. If cancelled, what was
        being written may be torn."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._waiting:
                data, self._waiting, self._sending = bytes(self._waiting), bytearray(), True
                self._make_room()
                try:
                    with trio.fail_after(STALLED):
                        await self._stream.send_all(data)
                except trio.TooSlowError:
                    return "it takes nothing of what is sent"
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return ""
            self._sending = False
            self._make_room()

    def _make_room(self) -> None:
        room, self._room = self._room, trio.Event()
        room.set()
