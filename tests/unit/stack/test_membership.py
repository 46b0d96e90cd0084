"""The connection of a process of this host, with a mesh that dies."""

from __future__ import annotations

import pytest
import trio

from composemesh.stack.errors import UserError
from composemesh.stack.membership import Joining, Membership


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nconte", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"])
async def test_a_mesh_that_dies_while_it_is_asked_has_ended(said: bytes) -> None:
    ours, theirs = trio.socket.socketpair()
    async with trio.SocketStream(ours) as stream, trio.open_nursery() as nursery:

        async def die() -> None:
            await theirs.recv(1 << 16)
            await theirs.send(said)
            theirs.close()

        nursery.start_soon(die)
        with pytest.raises(UserError, match="has ended while it was asked"):
            await Membership(stream).ask(Joining("report", 80))
