"""Who comes to the xDS port and is not let in."""

from __future__ import annotations

import socket

import pytest
import structlog
import trio

from composemesh.model.workload import Discovered
from composemesh.runtime.latest import Latest
from composemesh.xds.server import Server
from unit.xds.meshes import snapshot


async def turned_away(server: Server) -> list[str]:
    """Why a client is."""
    ours, theirs = socket.socketpair()
    with ours, structlog.testing.capture_logs() as logs:
        await server.serve(trio.SocketStream(trio.socket.from_stdlib_socket(theirs)))
        assert ours.recv(1) == b""
    return [line["why"] for line in logs if line["event"] == "xds client turned away"]


async def test_the_log_says_why_a_client_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("composemesh.xds.server.MOST_CONNECTIONS", 0)
    server = Server(Latest(snapshot()), Latest(Discovered()))
    assert await turned_away(server) == ["there are 0 already"]
    server.drain()
    assert await turned_away(server) == ["the mesh ends"]
