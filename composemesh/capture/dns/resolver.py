"""The resolver of one captured container: what its processes ask Docker's arrives at sockets inside."""

from __future__ import annotations

import errno
import socket

import trio

from composemesh.capture.dns.asking import Ask, ask, ask_over_tcp, framed, receive
from composemesh.capture.dns.message import (
    LONGEST,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    answer,
    failure,
    found_in,
    rcode_of,
    read_question,
)
from composemesh.capture.netns import NetworkNamespace
from composemesh.routing.names import Names, Standing

PORT = 15053
_TRIES = 200
TTL = 10
"""Seconds that a virtual address may be kept: soon after the mesh has gone, nobody uses it any more."""
WAIT = 15.0
"""Seconds that a question waits for Docker's resolver, which itself waits 4 s for each of the host's. Those who ask
have mostly given up after 5 s (resolv.conf(5), `timeout`)."""
PATIENCE = {True: 2.0, False: 0.3}
"""Seconds until the mesh speaks for a name that Docker's resolver might know, by whether it has a dot. Names of
containers it knows by heart. For others it asks the host's, and in an internal network waits for ever."""
MOST_ASKED = 256
"""Questions of one container that wait for an answer; for the next, the oldest is given up."""
MOST_CONNECTIONS = 32
IDLE = 10.0
"""Seconds that a TCP connection has for its next message."""
IN_A_ROW = 8
"""Datagrams of one container that are taken before others have their turn."""
_UNKNOWN = frozenset({NXDOMAIN, SERVFAIL, REFUSED})


class Sockets:
    """The sockets of a resolver, both at one port, on loopback."""

    def __init__(self, udp: socket.socket, tcp: socket.socket) -> None:
        self.udp = udp
        self.tcp = tcp
        self.port: int = udp.getsockname()[1]

    def __repr__(self) -> str:
        return f"<Sockets at {self.port}{'' if self.udp.fileno() >= 0 else ' closed'}>"

    def close(self) -> None:
        """Close them, also under a task that waits on them. Idempotent."""
        for sock in (self.udp, self.tcp):
            if sock.fileno() >= 0:
                trio.lowlevel.notify_closing(sock)
                sock.close()

    def __del__(self) -> None:
        self.udp.close()  # of a life that the end of the mesh overtook
        self.tcp.close()


def open_sockets(namespace: NetworkNamespace, avoid: frozenset[int]) -> Sockets:
    """Sockets at `PORT`, or at the next port that is free in both protocols and not in `avoid`. Raises OSError."""
    for port in range(PORT, PORT + _TRIES):
        if port in avoid:
            continue
        udp, tcp = namespace.socket(socket.AF_INET, socket.SOCK_DGRAM), namespace.socket(socket.AF_INET)
        try:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            udp.bind(("127.0.0.1", port))
            tcp.bind(("127.0.0.1", port))
            tcp.listen(MOST_CONNECTIONS)
        except OSError as problem:
            udp.close()
            tcp.close()
            if problem.errno != errno.EADDRINUSE:
                raise
        else:
            return Sockets(udp, tcp)
    raise OSError(errno.EADDRINUSE, f"no free port from {PORT} to {PORT + _TRIES - 1}")


class Resolver:
    """Answers what only the mesh can know, and passes on everything else, as it came."""

    def __init__(self, namespace: NetworkNamespace, sockets: Sockets, names: Names) -> None:
        self._namespace = namespace
        self._sockets = sockets
        self._names = names
        self._asking: dict[trio.CancelScope, None] = {}
        self._connections = 0

    def __repr__(self) -> str:
        return f"<Resolver in {self._namespace} asking={len(self._asking)} connections={self._connections}>"

    async def run(self) -> None:
        """Answer until its sockets are closed."""
        async with trio.open_nursery() as nursery:
            async with trio.open_nursery() as takers:
                takers.start_soon(self._take_datagrams, nursery)
                takers.start_soon(self._take_connections, nursery)
            nursery.cancel_scope.cancel()

    # === UDP ===

    async def _take_datagrams(self, nursery: trio.Nursery) -> None:
        sock, taken = self._sockets.udp, 0
        while sock.fileno() >= 0:
            try:
                message, client = sock.recvfrom(LONGEST)
            except BlockingIOError:
                taken = 0
                try:
                    await trio.lowlevel.wait_readable(sock)
                except trio.ClosedResourceError:
                    return
                continue
            except OSError:
                await trio.lowlevel.checkpoint()
                continue  # of a client that did not wait for its answer
            reply = self._own(message)
            if reply is not None:
                self._send(reply, client)
            else:
                nursery.start_soon(self._datagram, message, client)
            taken += 1
            if taken % IN_A_ROW == 0:
                await trio.lowlevel.checkpoint()

    async def _datagram(self, message: bytes, client: tuple[str, int]) -> None:
        if len(self._asking) >= MOST_ASKED:
            oldest = next(iter(self._asking))
            del self._asking[oldest]  # now: it ends later, and there may be another one too many before that
            oldest.cancel()
        with trio.CancelScope() as scope:
            self._asking[scope] = None
            try:
                reply = await self._passed_on(message, ask)
                if reply is not None:
                    self._send(reply, client)
            finally:
                self._asking.pop(scope, None)

    def _send(self, reply: bytes, client: tuple[str, int]) -> None:
        try:
            self._sockets.udp.sendto(reply, client)
        except OSError:
            pass  # it asks again, if it still wants to know

    # === TCP ===

    async def _take_connections(self, nursery: trio.Nursery) -> None:
        listener = self._sockets.tcp
        while listener.fileno() >= 0:
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                try:
                    await trio.lowlevel.wait_readable(listener)
                except trio.ClosedResourceError:
                    return
                continue
            except OSError:
                await trio.sleep(0.1)  # no descriptor is free: one may be in a moment
                continue
            sock.setblocking(False)
            if self._connections >= MOST_CONNECTIONS:
                sock.close()
                continue
            self._connections += 1
            nursery.start_soon(self._converse, trio.SocketStream(trio.socket.from_stdlib_socket(sock)))

    async def _converse(self, stream: trio.SocketStream) -> None:
        """Answer the messages of a connection, one after the other, as RFC 7766 (6.2.1.1) permits."""
        try:
            async with stream:
                while (message := await self._next(stream)) is not None:
                    reply = self._own(message) or await self._passed_on(message, ask_over_tcp)
                    if reply is None:
                        return
                    with trio.fail_after(IDLE):
                        await stream.send_all(framed(reply))
        except (trio.BrokenResourceError, trio.TooSlowError):
            pass
        finally:
            self._connections -= 1

    async def _next(self, stream: trio.SocketStream) -> bytes | None:
        with trio.move_on_after(IDLE):
            return await receive(stream)
        return None

    # === both ===

    def _own(self, message: bytes) -> bytes | None:
        """The reply that nobody else need be asked for."""
        question = read_question(message)
        name = self._names.find(question.name) if question is not None else None
        if name is None or name.standing is not Standing.OURS:
            return None
        return answer(message, name.addresses, TTL)

    async def _passed_on(self, message: bytes, ask: Ask) -> bytes | None:
        """What Docker's resolver says, or, where it knows nothing, what the mesh does; None where nobody says a word.

        Never raises for what anybody says.
        """
        question = read_question(message)
        name = self._names.find(question.name) if question is not None else None
        ours_else = question is not None and name is not None and name.standing is Standing.UNLESS_KNOWN
        patience = PATIENCE["." in question.name] if question is not None and ours_else else WAIT
        try:
            reply = await ask(self._namespace, message, patience)
        except OSError:
            reply = failure(message) if len(message) > 2 else None
        if name is None:
            return reply
        if not ours_else:
            self._names.learn(name.host, found_in(reply or b"").addresses)
        elif reply is None or rcode_of(reply) in _UNKNOWN:
            return answer(message, name.addresses, TTL)
        return reply
