"""The xDS port: whoever connects speaks gRPC over HTTP/2, or polls over HTTP/1.1; the first bytes tell.

This file accepts, limits, and says in one line each what goes wrong with whom. On the way out clients are told
goodbye, so that they look for another server, or for the next mesh, at once.
"""

from __future__ import annotations

from typing import Any

import trio

from composemesh.model.problem import Problem
from composemesh.model.snapshot import Snapshot
from composemesh.model.workload import Discovered
from composemesh.runtime.groups import leaves
from composemesh.runtime.latest import Latest
from composemesh.runtime.supervise import supervise
from composemesh.xds import grpc, http1, http2
from composemesh.xds.call import Call
from composemesh.xds.complaints import Complaints
from composemesh.xds.rest import MOST_BYTES, Reply, Rest, refusal
from composemesh.xds.roster import Roster
from composemesh.xds.streams import Streams
from composemesh.xds.worlds import Worlds

MOST_CONNECTIONS = 512
"""At a time. One more takes the place of one without a call; where each has one, it is closed."""
FIRST_BYTES = 10.0
"""Seconds until a client must have said which protocol it speaks."""
DRAIN = 2.0
"""Seconds that clients have, on the way out, to take what is being sent."""
PREFACE = b"PRI"
"""What HTTP/2 begins with, and no request of HTTP/1.1."""

Connection = http1.Connection | http2.Connection


class Server:
    """All clients, and what they are told."""

    def __init__(self, snapshot: Latest[Snapshot], discovered: Latest[Discovered]) -> None:
        self.roster = Roster()
        self._worlds = Worlds(snapshot, discovered)
        self._streams = Streams(self._worlds, self.roster)
        self._rest = Rest(self._worlds, self.roster)
        self._connections: dict[trio.SocketStream, Connection | None] = {}
        """Oldest first; None until it is known which protocol it speaks."""
        self._scopes: dict[trio.SocketStream, trio.CancelScope] = {}
        self._complaints = Complaints()
        self._ending = False

    def __repr__(self) -> str:
        return f"<Server {len(self._connections)} connections {self.roster!r}>"

    def rows(self) -> list[dict[str, Any]]:
        """`status.xds`."""
        return self.roster.rows()

    def problems(self) -> list[Problem]:
        """What clients refused, and what can't be said to them."""
        return [*self.roster.problems(), *self._worlds.problems()]

    async def run(self) -> None:
        """Keep what clients are told up to date, until cancelled."""
        await supervise("xds", self._worlds.run)

    def drain(self) -> None:
        """Say goodbye to all; connections end within DRAIN seconds."""
        self._ending = True
        for stream, connection in self._connections.items():
            self._scopes[stream].deadline = trio.current_time() + DRAIN
            if connection is not None:
                connection.drain()
            else:
                self._scopes[stream].cancel()

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection, from accept to close. Never raises, whatever the client does.

        Shielded, because a cancelled server must not tear what is being sent: `drain` sets the deadline instead.
        """
        with trio.CancelScope(shield=True) as scope:
            if self._ending or not self._make_room():
                await trio.aclose_forcefully(stream)
                why = "the mesh ends" if self._ending else f"there are {MOST_CONNECTIONS} already"
                self._complaints.say("xds client turned away", why=why)
                return
            self._connections[stream], self._scopes[stream] = None, scope
            address = _address(stream)
            why = ""
            try:
                why = await self._serve(stream, address)
            except* Exception as problems:
                why = repr(next(leaves(problems)))
            finally:
                del self._connections[stream], self._scopes[stream]
                await trio.aclose_forcefully(stream)
            if why:
                self._complaints.say("xds client ended", address=address, why=why)

    async def _serve(self, stream: trio.SocketStream, address: str) -> str:
        first = b""
        with trio.move_on_after(FIRST_BYTES):
            while len(first) < len(PREFACE) and PREFACE.startswith(first):
                try:
                    data = bytes(await stream.receive_some(http2.READ))
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return ""
                if not data:
                    return ""
                first += data
        if len(first) < len(PREFACE) and PREFACE.startswith(first):
            return "it says nothing"
        connection: Connection
        if first.startswith(PREFACE):
            connection = http2.Connection(stream, lambda call: self._answer(call, address))
        else:
            connection = http1.Connection(
                stream,
                lambda method, path, origin: self._rest.refuse(method, path, origin=origin),
                lambda path, host, body: self._rest.answer(path, host, body, address),
            )
        self._connections[stream] = connection
        await connection.run(first)
        return connection.why

    async def _answer(self, call: Call, address: str) -> None:
        if grpc.is_grpc(call.headers):
            try:
                await self._streams.answer(call, address)
            except* grpc.RpcError as problems:
                problem = next(leaves(problems))
                self._complaints.say("xds call refused", address=address, why=str(problem))
                raise problem from None
        else:
            reply = await self._reply(call, address)
            fields = [(b":status", b"%d" % reply.status), *reply.headers]
            if reply.body:
                fields.append((b"content-length", b"%d" % len(reply.body)))
            if not reply.body or call.method == "HEAD":
                call.finish(fields)
                return
            call.begin(fields)
            await call.send(reply.body)
            call.finish()

    async def _reply(self, call: Call, address: str) -> Reply:
        refused = self._rest.refuse(call.method, call.path, origin=call.header(b"origin"))
        if refused is not None:
            return refused
        body = bytearray()
        while data := await call.receive():
            body += data
            if len(body) > MOST_BYTES:
                return refusal(413, f"a body is at most {MOST_BYTES} bytes")
        return await self._rest.answer(call.path, call.header(b":authority"), bytes(body), address)

    def _make_room(self) -> bool:
        if len(self._connections) < MOST_CONNECTIONS:
            return True
        for stream, connection in self._connections.items():
            if (connection is None or not connection.busy) and not self._scopes[stream].cancel_called:
                self._scopes[stream].cancel()
                return True
        return False


def _address(stream: trio.SocketStream) -> str:
    try:
        host, port = stream.socket.getpeername()[:2]
    except OSError:
        return "?"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
