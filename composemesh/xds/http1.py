"""One HTTP/1.1 connection of a client that polls, by h11: a request, its answer, and the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import h11
import trio

from composemesh.xds.rest import MOST_BYTES, Reply, refusal

READ = 64 << 10
PATIENCE = 10.0
"""Seconds that a client may take over a request, our answer included."""
IDLE = 120.0
"""Seconds between two requests."""

Refuse = Callable[[str, str, str], Reply | None]
"""Method, path and Origin → why a request is refused before its body is read; None where it is not."""
Answer = Callable[[str, str, bytes], Awaitable[Reply]]
"""Path, Host and body → the answer."""


class Connection:
    """One connection, from its first byte to its last."""

    def __init__(self, stream: trio.abc.Stream, refuse: Refuse, answer: Answer) -> None:
        self.why = ""
        """Why it ended, where there is anything to say of that."""
        self._stream = stream
        self._refuse = refuse
        self._answer = answer
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=16 << 10)
        self._scope = trio.CancelScope()

    def __repr__(self) -> str:
        return f"<Connection {self._h11.their_state}>"

    @property
    def busy(self) -> bool:
        """Whether there is a request under way."""
        return self._h11.their_state is not h11.IDLE

    def drain(self) -> None:
        """End after the request that is under way, if there is one."""
        if not self.busy:
            self._scope.cancel()

    async def run(self, first: bytes = b"") -> None:
        """Serve until either side ends it; `first` was read already. Closes the stream. Never raises for what a
        client does."""
        self._h11.receive_data(first)
        self._scope.deadline = trio.current_time() + PATIENCE
        try:
            with self._scope:
                while await self._exchange():
                    self._h11.start_next_cycle()
                    self._scope.deadline = trio.current_time() + IDLE
            if self._scope.cancelled_caught and self.busy:
                self.why = "it takes too long over a request"
        except h11.RemoteProtocolError as problem:
            self.why = f"no HTTP: {problem}"[:200]
            await self._last_words(refusal(problem.error_status_hint, str(problem)))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _exchange(self) -> bool:
        """One request and its answer; whether there may be another."""
        request = await self._next()
        if not isinstance(request, h11.Request):
            return False
        headers = {name: value.decode("latin-1") for name, value in request.headers}
        path = request.target.decode("latin-1")
        method = request.method.decode("latin-1")
        reply = self._refuse(method, path, headers.get(b"origin", ""))
        if reply is None:
            body = await self._body()
            reply = await self._answer(path, headers.get(b"host", ""), body) if body is not None else _TOO_LARGE
        await self._send(reply, body=method != "HEAD")
        return self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE

    async def _body(self) -> bytes | None:
        """The request's body; None where it is too large."""
        body = bytearray()
        while isinstance(event := await self._next(), h11.Data):
            body += event.data
            if len(body) > MOST_BYTES:
                self.why = "a body that is too large"
                return None
        return bytes(body)

    async def _next(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            if self._h11.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
                await self._stream.send_all(self._h11.send(go_on) or b"")
            data = bytes(await self._stream.receive_some(READ))
            if not self.busy:
                self._scope.deadline = trio.current_time() + PATIENCE
            self._h11.receive_data(data)
        return event

    async def _send(self, reply: Reply, *, body: bool = True) -> None:
        headers = [*reply.headers, (b"server", b"composemesh"), (b"content-length", b"%d" % len(reply.body))]
        if self.busy and self._h11.their_state is not h11.DONE:
            headers.append((b"connection", b"close"))  # the rest of its body is not read
        said = self._h11.send(h11.Response(status_code=reply.status, headers=headers))
        if body and reply.status != 304:
            said = (said or b"") + (self._h11.send(h11.Data(data=reply.body)) or b"")
        await self._stream.send_all((said or b"") + (self._h11.send(h11.EndOfMessage()) or b""))

    async def _last_words(self, reply: Reply) -> None:
        if self._h11.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        try:
            with trio.move_on_after(1.0):
                await self._send(reply)
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.LocalProtocolError):
            pass


_TOO_LARGE = refusal(413, f"a body is at most {MOST_BYTES} bytes")
